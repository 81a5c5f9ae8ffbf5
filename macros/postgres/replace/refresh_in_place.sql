{% macro refresh_in_place(relation) -%}
    {%- set is_populated = run_query('select relispopulated from pg_class where oid = ' ~ regclass_of(relation))[0][0] -%}
    {%- if not is_populated -%}
        {#- It cannot be read yet, and PostgreSQL fills it in no other way. -#}
        {%- call statement('main') -%}
            refresh materialized view {{ relation }}
        {%- endcall -%}
        {{ return('') }}
    {%- endif -%}

    {%- do run_query(create_functions_that_replace()) -%}
    {%- set trouble = run_query(
        "select trouble from pg_temp.try_for_locks(format('select pg_temp.run_statements(%L)', "
        ~ "format('refresh materialized view concurrently %s', " ~ regclass_of(relation) ~ ')), array[' ~ regclass_of(relation)
        ~ "], '{AccessShareLock}')"
    )[0][0] -%}
    {%- if trouble -%}
        {{ exceptions.raise_compiler_error(relation ~ ' could not be refreshed; nothing was changed: ' ~ trouble ~ '.') }}
    {%- endif -%}
    {%- call noop_statement('main', 'REFRESH CONCURRENTLY', 'REFRESH', '-1') -%}
        refresh materialized view concurrently {{ relation }}
    {%- endcall -%}
{%- endmacro %}
