{% macro read_source(table_name, has_row_xid=true) -%}
    {#-
        Not every company has every table: one that var sources_present omits is read as an empty one with the contract's
        columns.
    -#}
    {%- if not execute -%}
        {%- do check_variables() -%}
    {%- endif -%}
    {%- if table_name in var('sources_present') -%}
    (
        select
            *,
            {{ row_xid() if has_row_xid and not flags.EMPTY and not is_sample() else 'null::bigint' }} as _row_xid
        from {{ source('app', table_name) }}
    ) as source
    {%- elif execute -%}
    {%- set table = (graph.sources.values() | selectattr('source_name', 'equalto', 'app') | selectattr('name', 'equalto', table_name) | first) -%}
    (
        select
            {%- for column in table.columns.values() %}
            null::{{ column.data_type }} as {{ column.name }},
            {%- endfor %}
            null::bigint as _row_xid
        where false
    ) as source
    {%- endif -%}
{%- endmacro %}
