{% macro text_list(column) -%}
    string_agg({{ column }}, ', ' order by {{ column }})
{%- endmacro %}
