{% macro create_partitioned_index(index) -%}
    {#- On the parent it is only a catalog entry; the rows are read partition by partition. -#}
    {%- set name = claimed_index_name(index.name) -%}
    {%- do run_query(try_patiently(
        'create ' ~ index.unique ~ 'index ' ~ adapter.quote(name) ~ ' on only ' ~ this ~ ' ' ~ index.definition ~ '; '
        ~ comment_on_index(name, index.comment),
        'the index ' ~ name ~ ' of ' ~ this ~ ' could not be created',
        this,
        '{AccessShareLock,RowShareLock}'
    )) -%}
    {%- do complete_partitioned_index(adapter.quote(this.schema) ~ '.' ~ adapter.quote(name), this, index) -%}
{%- endmacro %}


{% macro complete_partitioned_index(parent_index, parent, index) -%}
    {%- set query -%}
        select
            pg_namespace.nspname::text as schema_name,
            children.relname::text as table_name,
            children.relkind = 'p' as is_partitioned,
            (
                select format('%I.%I', schemas.nspname, names.relname)
                from pg_inherits as attached
                inner join pg_index on attached.inhrelid = pg_index.indexrelid
                inner join pg_class as names on pg_index.indexrelid = names.oid
                inner join pg_namespace as schemas on names.relnamespace = schemas.oid
                where attached.inhparent = '{{ parent_index }}'::regclass and pg_index.indrelid = children.oid
            ) as attached_index
        from pg_inherits
        inner join pg_class as children on pg_inherits.inhrelid = children.oid
        inner join pg_namespace on children.relnamespace = pg_namespace.oid
        where pg_inherits.inhparent = '{{ parent }}'::regclass
        order by children.relname
    {%- endset -%}
    {%- for child in run_query(query) -%}
        {%- set schema = adapter.quote(child['schema_name']) -%}
        {%- set table = schema ~ '.' ~ adapter.quote(child['table_name']) -%}
        {%- set name = index_name(child['table_name'], suffix_of_children(index.hash)) -%}
        {%- set child_index = child['attached_index'] or schema ~ '.' ~ adapter.quote(name) -%}
        {%- set found = run_query(
            "select indisvalid from pg_index where indexrelid = to_regclass('" ~ child_index ~ "') and indrelid = '" ~ table ~ "'::regclass"
        ) -%}
        {%- if child['is_partitioned'] -%}
            {%- if not found -%}
                {%- do run_query(try_patiently(
                    'create ' ~ index.unique ~ 'index ' ~ adapter.quote(name) ~ ' on only ' ~ table ~ ' ' ~ index.definition,
                    'the index ' ~ name ~ ' of ' ~ table ~ ' could not be created',
                    table,
                    '{AccessShareLock,RowShareLock}'
                )) -%}
            {%- endif -%}
            {%- do complete_partitioned_index(child_index, table, index) -%}
        {%- elif not found or not found[0]['indisvalid'] -%}
            {%- if found -%}
                {%- do run_patiently('drop index concurrently ' ~ child_index) -%}
            {%- endif -%}
            {%- do create_index_concurrently(table, name, index) -%}
        {%- endif -%}
        {%- if not child['attached_index'] -%}
            {#- A session that plans a query on the partition locks its index, attached or not, until its transaction ends. -#}
            {%- do run_query(try_patiently(
                'alter index ' ~ parent_index ~ ' attach partition ' ~ child_index,
                'the part ' ~ child_index ~ ' of the index ' ~ parent_index ~ ' could not be attached',
                table
            )) -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}


{% macro suffix_of_children(hash) -%}
    {{ return('_' ~ hash[:8] ~ '_idx') }}
{%- endmacro %}
