{% macro as_of() -%}
    '{{ as_of_timestamp() }}'::{{ timestamp_type() }}
{%- endmacro %}
