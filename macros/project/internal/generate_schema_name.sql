{% macro generate_schema_name(custom_schema_name, node) -%}
    {#-
        Two developers on one server must not write into each other's schemas, so a target prefixes them, unless it is listed in
        exact_schema_targets.
    -#}
    {%- set schema_name = custom_schema_name | trim if custom_schema_name else target.schema -%}
    {%- if target.name in var('exact_schema_targets') or not custom_schema_name -%}
        {{ schema_name }}
    {%- else -%}
        {%- set whole_name = target.name ~ '_' ~ schema_name -%}
        {%- if whole_name.encode('utf-8') | length > 63 -%}
            {{ exceptions.raise_compiler_error(
                "The schema of target '" ~ target.name ~ "' would be '" ~ whole_name ~ "', which has " ~ whole_name.encode('utf-8') | length
                ~ ' bytes; PostgreSQL takes up to 63. Give the target in profiles.yml a name of at most '
                ~ (62 - schema_name.encode('utf-8') | length) ~ ' bytes.'
            ) }}
        {%- endif -%}
        {{ whole_name }}
    {%- endif -%}
{%- endmacro %}
