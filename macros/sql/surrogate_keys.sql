{% macro unknown_key() -%}
    {{ dbt_utils.generate_surrogate_key(["'unknown'"]) }}
{%- endmacro %}
