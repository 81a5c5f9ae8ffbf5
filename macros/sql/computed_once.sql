{% macro computed_once() -%}
    {{ return(adapter.dispatch('computed_once')()) }}
{%- endmacro %}


{% macro default__computed_once() -%}
    {#- PostgreSQL inlines the CTE and computes an expression wherever its name is used, unless told not to. -#}
    materialized
{%- endmacro %}


{% macro spark__computed_once() -%}{%- endmacro %}
