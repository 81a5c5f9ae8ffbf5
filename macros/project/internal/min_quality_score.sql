{% macro min_quality_score() -%}
    {%- set given = env_var('WAREHOUSE_MIN_SCORE', var('min_quality_score') | string) -%}
    {%- if not modules.re.fullmatch('[0-9]+([.][0-9]+)?', given) or given | float > 100 -%}
        {{ exceptions.raise_compiler_error("min_quality_score is '" ~ given ~ "'; it takes a number from 0 to 100.") }}
    {%- endif -%}
    {{ return(given | float) }}
{%- endmacro %}
