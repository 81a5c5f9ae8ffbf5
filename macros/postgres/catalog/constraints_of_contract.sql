{% macro primary_key_of_contract() -%}
    {#- PostgreSQL wants the columns of the partitions in a primary key, so a partitioned table has none. -#}
    {%- if config.get('materialized') != 'incremental'
        or config.get('incremental_strategy') != 'changed_keys'
        or config.get('unique_key_index') is false
        or config.get('partition_by') -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set unique_key = as_list(config.get('unique_key') or []) | map('lower') | sort -%}
    {%- for constraint in model.constraints if constraint.type == 'primary_key' and columns_of_contract() is not none -%}
        {%- set columns = [] -%}
        {%- for column in constraint.columns -%}
            {%- do columns.append(column_of_index(column, columns_of_contract()) or column) -%}
        {%- endfor -%}
        {%- if columns | map('lower') | sort == unique_key -%}
            {{ return(columns) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}


{% macro never_null_columns() -%}
    {%- set columns = [] -%}
    {%- if columns_of_contract() is not none -%}
        {%- for column in model.columns.values() if column.constraints | selectattr('type', 'equalto', 'not_null') | list -%}
            {%- do columns.append(column.name if column.quote else column.name | lower) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(columns) }}
{%- endmacro %}
