{% macro statement_statistics() -%}
    {#- pg_stat_statements of this database; if it is not installed or not loaded, one row that says how to install it. -#}
    {%- set query -%}
        select
            to_regclass('pg_stat_statements') is not null
            and current_setting('shared_preload_libraries', true) ~ 'pg_stat_statements'
    {%- endset -%}
    {%- if execute and run_query(query)[0][0] -%}
    (
        select *
        from pg_stat_statements
        where dbid = (select oid from pg_database where datname = current_database())
    ) as seen
    {%- else -%}
    (
        select
            null::bigint as calls,
            null::float as total_exec_time,
            null::float as mean_exec_time,
            null::bigint as rows,
            null::bigint as shared_blks_hit,
            null::bigint as shared_blks_read,
            'Add pg_stat_statements to shared_preload_libraries, restart the server, run: create extension pg_stat_statements'
                as query
    ) as seen
    {%- endif -%}
{%- endmacro %}
