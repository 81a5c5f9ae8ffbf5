{% macro row_as_json(alias, columns) -%}
    jsonb_build_object(
        {%- for column in columns -%}
            '{{ column }}', {{ alias }}.{{ column }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}
