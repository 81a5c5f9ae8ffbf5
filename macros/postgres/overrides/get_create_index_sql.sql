{% macro postgres__get_create_index_sql(relation, index_dict) -%}
    {#- create_indexes does not call it; other materializations may. -#}
    {%- set columns = columns_to_index(relation) -%}
    {%- do declared_indexes(columns) -%}
    {%- set entries = config.get('indexes') or [] -%}
    {%- set number = entries.index(index_dict) + 1 if index_dict in entries else 1 -%}
    {{ create_index(relation, declared_index(index_dict, number, columns)) }}
{%- endmacro %}
