{% macro unknown_key() -%}
    {#- No hash looks like this, so no key of the application can equal it. -#}
    'unknown'
{%- endmacro %}
