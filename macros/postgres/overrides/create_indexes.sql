{% macro postgres__create_indexes(relation) -%}
    {%- do dbt.default__create_indexes(relation) -%}
    {%- do exclude_overlaps(relation) -%}
{%- endmacro %}
