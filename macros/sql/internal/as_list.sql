{% macro as_list(value) -%}
    {#- A name or a list of names, as in a unique_key; nothing becomes an empty list. -#}
    {{ return([] if not value else [value] if value is string else value | list) }}
{%- endmacro %}
