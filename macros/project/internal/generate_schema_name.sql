{% macro generate_schema_name(custom_schema_name, node) -%}
    {#-
        Two developers on one server must not write into each other's schemas, so a target prefixes them, unless it is listed in
        exact_schema_targets.
    -#}
    {%- set schema_name = custom_schema_name | trim if custom_schema_name else target.schema -%}
    {%- if target.name in var('exact_schema_targets') or not custom_schema_name -%}
        {{ schema_name }}
    {%- else -%}
        {{ target.name }}_{{ schema_name }}
    {%- endif -%}
{%- endmacro %}
