{% macro postgres__create_schema(relation) -%}
    {%- if relation.database -%}
        {%- do adapter.verify_database(relation.database) -%}
    {%- endif -%}
    {%- call statement('create_schema') -%}
        {{ create_schema_if_missing(relation.schema) }}
    {%- endcall -%}
{%- endmacro %}
