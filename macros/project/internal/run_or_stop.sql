{% macro run_or_stop(statements) -%}
    {#-
        The hook runs them itself and gives dbt nothing. When a hook fails, dbt skips every node, and stumbles over an
        exposure, which has no schema: what it then says is its own error and not the database's. Commands that run
        nothing compile the hooks all the same.
    -#}
    {%- if execute and flags.WHICH not in ['parse', 'list', 'compile', 'show', 'generate'] -%}
        {%- do run_query(statements) -%}
    {%- endif -%}
{%- endmacro %}
