{% macro postgres__build_snapshot_table(strategy, sql) -%}
    {%- if config.get('strategy') == 'check' and config.get('updated_at') -%}
        {%- set strategy = dict(strategy, updated_at='least(' ~ strategy.updated_at ~ ', statement_timestamp())') -%}
    {%- endif -%}
    {%- if config.get('strategy') == 'check' and config.get('check_cols') is not string and config.get('check_cols') -%}
        {#- Only later builds compare. The planner leaves this out, but a column that there is not, or that has no equality, stops the first build. -#}
        {%- set checked = '(' ~ config.get('check_cols') | join(', ') ~ ')' -%}
        {%- set sql = 'select * from (\n' ~ sql ~ '\n) as checked where true or ' ~ checked ~ ' is not distinct from ' ~ checked -%}
    {%- endif -%}
    {{ default__build_snapshot_table(strategy, sql) }}
{%- endmacro %}
