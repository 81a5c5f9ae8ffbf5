{% macro postgres__snapshot_staging_table(strategy, source_sql, target_relation) -%}
    {%- set has_unread_rows = run_query("select to_regclass('pg_temp.unread_rows') is not null")[0][0] -%}
    {%- if not has_unread_rows and compares_stored_columns() -%}
        {#- dbt compares each row several times, and this only once: most are equal. -#}
        {%- do run_query(
            (config.get('sql_header') or '') ~ ' create temporary table unread_rows on commit drop as select * from (\n' ~ source_sql
            ~ '\n) as new_row where ' ~ differs_from_current_state('new_row') ~ '; analyze unread_rows;'
        ) -%}
        {%- set has_unread_rows = true -%}
    {%- endif -%}
    {%- if has_unread_rows -%}
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


{% macro compares_stored_columns() -%}
    {#- Else dbt takes every row for a change, or looks for rows that are missing. -#}
    {%- set checked = config.get('check_cols') -%}
    {%- if config.get('strategy') != 'check' or checked is string or not checked or adapter.get_hard_deletes_behavior(config) != 'ignore' -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set stored = adapter.get_columns_in_relation(this) | map(attribute='name') | list if load_relation(this) else [] -%}
    {{ return(stored and not missing_columns(keys_of_states().keys() | list + checked, stored)) }}
{%- endmacro %}


{% macro differs_from_current_state(alias) -%}
    {%- set names = config.get('snapshot_table_column_names') or get_snapshot_table_column_names() -%}
    not exists (
        select 1
        from {{ this }} as held
        where
        {%- for column in keys_of_states() %}
            held.{{ column }} = {{ alias }}.{{ column }} and
        {%- endfor %}
            {{ is_current_state('held', names) }}
            and ({{ prefixed('held', config.get('check_cols')) }}) is not distinct from ({{ prefixed(alias, config.get('check_cols')) }})
    )
{%- endmacro %}
