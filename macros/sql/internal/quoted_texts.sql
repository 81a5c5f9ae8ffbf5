{% macro quoted_texts(values) -%}
    {%- for value in values -%}
        '{{ (value | string).replace("'", "''") }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
