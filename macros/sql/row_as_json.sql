{% macro row_as_json(alias, columns) -%}
    jsonb_build_object(
        {%- for column in columns -%}
            '{{ column }}', {{ alias }}.{{ column }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}


{% macro json_without(object, names) -%}
    ({{ object }} - string_to_array(coalesce({{ names }}, ''), ','))
{%- endmacro %}


{% macro json_text(object, name) -%}
    ({{ object }} ->> '{{ name }}')
{%- endmacro %}
