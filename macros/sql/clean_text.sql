{% macro clean_text(column) -%}
    nullif(trim({{ column }}::{{ text_type() }}), '')
{%- endmacro %}
