{% macro postgres__create_indexes(relation) -%}
    {%- do dbt.default__create_indexes(relation) -%}
    {%- do exclude_overlaps(relation) -%}
{%- endmacro %}


{% macro postgres__get_create_index_sql(relation, index_dict) -%}
    {#- Of a table that was just made in this transaction, and that nobody else sees yet. -#}
    {%- set columns = columns_of_contract() -%}
    {%- if columns is none -%}
        {%- set columns = adapter.get_columns_in_relation(relation) | map(attribute='name') | list or none -%}
    {%- endif -%}
    {%- do declared_indexes(columns) -%}
    {%- set entries = config.get('indexes') or [] -%}
    {%- set number = entries.index(index_dict) + 1 if index_dict in entries else 1 -%}
    {%- set index = declared_index(index_dict, number, columns) -%}
    {%- set name = claimed_index_name(index.name) -%}
    create {{ index.unique }}index {{ adapter.quote(name) }} on {{ relation }} {{ index.definition }};
    {{ comment_on_index(name, index.comment) }}
{%- endmacro %}


{% macro comment_of_index(hash, why) -%}
    {#- Says that the index is ours, of which model, and what it was made from. -#}
    {{ return('dbt:' ~ hash ~ ' of ' ~ this.schema ~ '.' ~ this.identifier ~ ': ' ~ (why or 'declared by the model') | trim) }}
{%- endmacro %}


{% macro comment_on_index(name, comment) -%}
    comment on index {{ adapter.quote(this.schema) }}.{{ adapter.quote(name) }} is {{ postgres_escape_comment(comment) }}
{%- endmacro %}


{% macro claimed_index_name(name) -%}
    {#-
        Names are unique in a schema. The table that is being replaced still has ours, and its indexes step aside;
        of what somebody else made we step aside.
    -#}
    {%- set query -%}
        select
            oid::bigint as index_oid,
            starts_with(
                substr(coalesce(obj_description(oid, 'pg_class'), ''), 37),
                {{ postgres_escape_comment(' of ' ~ this.schema ~ '.' ~ this.identifier ~ ':') }}
            ) as is_ours
        from pg_class
        where relnamespace = to_regnamespace('{{ adapter.quote(this.schema) }}')
            and relname = {{ postgres_escape_comment(name) }}
    {%- endset -%}
    {%- set holder = run_query(query) -%}
    {%- if not holder -%}
        {{ return(name) }}
    {%- elif holder[0]['is_ours'] -%}
        {%- if is_in_transaction() -%}
            {%- do lock_out_maintenance(
                'array(select indrelid from pg_index where indexrelid = ' ~ holder[0]['index_oid'] ~ ')',
                'could not be made anew'
            ) -%}
        {%- endif -%}
        {%- do run_query(
            'alter index ' ~ adapter.quote(this.schema) ~ '.' ~ adapter.quote(name)
            ~ ' rename to ' ~ adapter.quote(index_name(name, '_old_' ~ holder[0]['index_oid']))
        ) -%}
        {{ return(name) }}
    {%- endif -%}
    {%- set other_name = index_name(name, '_' ~ local_md5(this.schema ~ '.' ~ this.identifier ~ ' ' ~ name)[:8]) -%}
    {%- do log(this.identifier ~ ': the name ' ~ name ~ ' is taken; the index is called ' ~ other_name ~ '.', info=true) -%}
    {{ return(claimed_index_name(other_name)) }}
{%- endmacro %}
