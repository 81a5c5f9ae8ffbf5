{% macro columns_of_contract() -%}
    {%- if not (config.get('contract') or {}).enforced -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for column in model.columns.values() -%}
        {%- do columns.append(column.name if column.quote else column.name | lower) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}


{% macro column_of_index(given, columns) -%}
    {#- As PostgreSQL reads a name: in lower case, unless it is quoted. None if there is no such column. -#}
    {%- if given is not string or given in (columns or []) -%}
        {{ return(given) }}
    {%- endif -%}
    {%- set column = given[1:-1].replace('""', '"') if given[0] == '"' else given | lower -%}
    {{ return(column if columns is none or column in columns else none) }}
{%- endmacro %}


{% macro missing_columns(needed, found) -%}
    {%- set lacking = [] -%}
    {%- for column in needed if column_of_index(column, found) is none -%}
        {%- do lacking.append(column) -%}
    {%- endfor -%}
    {{ return(lacking) }}
{%- endmacro %}


{% macro keys_of_contract() -%}
    {#- Columns have the names of the catalog. -#}
    {%- set keys = [] -%}
    {%- set all_columns = columns_of_contract() -%}
    {%- if all_columns is not none -%}
        {%- for constraint in model.constraints if constraint.type in ['primary_key', 'unique'] and constraint.columns -%}
            {%- set columns = [] -%}
            {%- for column in constraint.columns -%}
                {%- do columns.append(column_of_index(column, all_columns) or column) -%}
            {%- endfor -%}
            {%- do keys.append({'type': constraint.type, 'columns': columns}) -%}
        {%- endfor -%}
        {%- for column in model.columns.values() -%}
            {%- for constraint in column.constraints if constraint.type in ['primary_key', 'unique'] -%}
                {%- do keys.append({'type': constraint.type, 'columns': [column.name if column.quote else column.name | lower]}) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(keys) }}
{%- endmacro %}


{% macro mark_of_contract() -%}
    {#- The comment of a constraint that the contract declares. -#}
    {{ return('dbt: declared by the contract') }}
{%- endmacro %}
