{% macro whitespace() -%}
    {#- Space, tab, line feed, vertical tab, form feed, carriage return, no-break space. -#}
    E' \t\n\x0B\f\r\u00A0'
{%- endmacro %}
