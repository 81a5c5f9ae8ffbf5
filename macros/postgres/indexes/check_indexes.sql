{% macro check_indexes() -%}
    {#- A pre-hook: what is wrong in the configuration is said before anything is built. -#}
    {%- if execute -%}
        {%- do declared_indexes(columns_of_contract()) -%}
        {%- do read_no_overlaps() -%}
    {%- endif -%}
{%- endmacro %}
