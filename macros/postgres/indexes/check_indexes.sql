{% macro check_indexes() -%}
    {#- A mistake in the configuration stops the build before anything is created. -#}
    {%- if execute -%}
        {%- do declared_indexes(columns_of_contract()) -%}
        {%- do read_no_overlaps() -%}
    {%- endif -%}
{%- endmacro %}
