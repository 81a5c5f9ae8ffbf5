{% macro run_or_stop(statements) -%}
    {#-
        The hook runs them itself and returns no SQL. If a hook's SQL fails, dbt skips every node and then fails at an exposure,
        which has no schema: it reports that error instead of the database's. Other commands, such as compile, test or source
        freshness, render the hooks as well and need none of this; their role may only read.
    -#}
    {%- if execute and flags.WHICH in ['build', 'run', 'seed', 'snapshot'] -%}
        {%- do run_query(statements) -%}
    {%- endif -%}
{%- endmacro %}
