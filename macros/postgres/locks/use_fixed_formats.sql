{% macro use_fixed_formats() -%}
    {#- As pg_dump does, because definitions and rows are compared by their text. -#}
    {{ use_utc() }};
    set local datestyle = 'ISO';
    set local intervalstyle = 'postgres';
    set local extra_float_digits = 1
{%- endmacro %}
