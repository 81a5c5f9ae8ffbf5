{% macro postgres__build_snapshot_table(strategy, sql) -%}
    {%- if config.get('strategy') == 'check' and config.get('updated_at') -%}
        {%- set strategy = dict(strategy, updated_at='least(' ~ strategy.updated_at ~ ', statement_timestamp())') -%}
    {%- endif -%}
    {{ default__build_snapshot_table(strategy, sql) }}
{%- endmacro %}
