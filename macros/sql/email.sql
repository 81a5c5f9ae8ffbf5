{% macro is_email(column) -%}
    ({{ column }} ~ '^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:].]+$')
{%- endmacro %}
