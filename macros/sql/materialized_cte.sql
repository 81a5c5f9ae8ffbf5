{% macro materialized_cte() -%}
    {{ return(adapter.dispatch('materialized_cte')()) }}
{%- endmacro %}


{% macro default__materialized_cte() -%}
    {#- PostgreSQL inlines the CTE and computes an expression wherever its name is used, unless told not to. -#}
    materialized
{%- endmacro %}


{% macro spark__materialized_cte() -%}{%- endmacro %}


{% macro evaluated_once() -%}
    {{ return(adapter.dispatch('evaluated_once')()) }}
{%- endmacro %}


{% macro default__evaluated_once() -%}
    {#- The columns of a view are expressions, which PostgreSQL would evaluate again wherever the query uses them. -#}
    offset 0
{%- endmacro %}


{% macro spark__evaluated_once() -%}{%- endmacro %}


{% macro computed_once() -%}
    {%- do warn_of_former_name('computed_once', 'materialized_cte') -%}
    {{ materialized_cte() }}
{%- endmacro %}
