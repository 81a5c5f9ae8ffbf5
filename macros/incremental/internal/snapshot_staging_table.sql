{% macro postgres__snapshot_staging_table(strategy, source_sql, target_relation) -%}
    {%- if run_query("select to_regclass('pg_temp.unread_rows') is not null")[0][0] -%}
        {%- set columns = keys_of_states().keys() | join(', ') -%}
        {{ default__snapshot_staging_table(
            strategy,
            'select * from unread_rows',
            '(select * from ' ~ target_relation ~ ' where (' ~ columns ~ ') in (select ' ~ columns ~ ' from unread_rows)) as states'
        ) }}
    {%- else -%}
        {{ default__snapshot_staging_table(strategy, source_sql, target_relation) }}
    {%- endif -%}
{%- endmacro %}
