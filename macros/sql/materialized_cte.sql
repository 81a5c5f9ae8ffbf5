{% macro materialized_cte() -%}
    {{ return(adapter.dispatch('materialized_cte')()) }}
{%- endmacro %}


{% macro default__materialized_cte() -%}
    {#- PostgreSQL inlines the CTE and computes an expression wherever its name is used, unless told not to. -#}
    materialized
{%- endmacro %}


{% macro spark__materialized_cte() -%}{%- endmacro %}


{% macro computed_once() -%}
    {%- do warn_of_former_name('computed_once', 'materialized_cte') -%}
    {{ materialized_cte() }}
{%- endmacro %}
