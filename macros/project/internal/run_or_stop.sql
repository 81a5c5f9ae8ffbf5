{% macro run_or_stop(statements) -%}
    {#-
        The hook runs them itself and returns no SQL. If a hook's SQL fails, dbt skips every node and then fails at an exposure,
        which has no schema: it reports that error instead of the database's. Commands that run nothing compile the hooks as
        well.
    -#}
    {%- if execute and flags.WHICH not in ['parse', 'list', 'compile', 'show', 'generate'] -%}
        {%- do run_query(statements) -%}
    {%- endif -%}
{%- endmacro %}
