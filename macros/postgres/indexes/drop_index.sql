{% macro drop_index(found, is_partitioned) -%}
    {%- set query -%}
        select format('%I.%I', nspname, relname)
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where pg_class.oid = {{ found['index_oid'] }}
    {%- endset -%}
    {%- set name = run_query(query)[0][0] -%}
    {%- do log(this.identifier ~ ': dropping index ' ~ name ~ '.', info=true) -%}
    {%- do run_query(try_patiently(
        drop_own_foreign_keys('conindid = ' ~ found['index_oid']), 'the foreign keys that use the index ' ~ name ~ ' could not be dropped', this
    )) -%}
    {%- if found['primary_key'] -%}
        {%- do run_query(lock_patiently(
            this, 'the index ' ~ name ~ ' of ' ~ this ~ ' could not be dropped',
            'alter table ' ~ this ~ ' drop constraint ' ~ adapter.quote(found['primary_key'])
        )) -%}
    {%- elif is_partitioned -%}
        {#-
            PostgreSQL cannot drop an index of a parent concurrently. Parts that were not attached would stay, so they are
            dropped first.
        -#}
        {%- set query -%}
            select format('%I.%I', nspname, names.relname)
            from pg_partition_tree('{{ this }}') as tree
            inner join pg_index on tree.relid = pg_index.indrelid
            inner join pg_class as names on pg_index.indexrelid = names.oid
            inner join pg_namespace on names.relnamespace = pg_namespace.oid
            where right(names.relname, 13) = '{{ suffix_of_children(found["hash"] or found["name"]) }}'
                and names.relkind = 'i'
                and not names.relispartition
        {%- endset -%}
        {%- for left_over in run_query(query) -%}
            {%- do run_patiently('drop index concurrently ' ~ left_over[0]) -%}
        {%- endfor -%}
        {%- do run_query(lock_patiently(this, 'the index ' ~ name ~ ' of ' ~ this ~ ' could not be dropped', 'drop index ' ~ name)) -%}
    {%- else -%}
        {%- do run_patiently('drop index concurrently ' ~ name) -%}
    {%- endif -%}
{%- endmacro %}
