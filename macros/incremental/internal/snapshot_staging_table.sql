{% macro postgres__snapshot_staging_table(strategy, source_sql, target_relation) -%}
    {%- set has_unread_rows = run_query("select to_regclass('pg_temp.unread_rows') is not null")[0][0] -%}
    {%- set differs = 'where ' ~ differs_from_current_state('new_row') if compares_stored_columns() else '' -%}
    {%- if not has_unread_rows and (differs or is_source_emptied()) -%}
        {#-
            dbt compares each row several times, and this only once: most are equal. Of a source that shows a part of its rows, no
            other row is missing.
        -#}
        {%- do run_query(
            (config.get('sql_header') or '') ~ ' create temporary table unread_rows on commit drop as select * from (\n' ~ source_sql
            ~ '\n) as new_row ' ~ differs ~ '; analyze unread_rows;'
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


{% macro is_source_emptied() -%}
    {#- By --empty or --sample, in this run or when a model that the snapshot reads was last written. -#}
    {%- if flags.EMPTY or is_sample() -%}
        {{ return(true) }}
    {%- endif -%}
    {%- for unique_id in model.depends_on.nodes if has_watermarks(graph.nodes.get(unique_id)) -%}
        {%- set name = state_name(graph.nodes[unique_id]) -%}
        {%- set query = 'select not exists (select from ' ~ state_relation('watermarks') ~ ' where model_name = ' ~ postgres_escape_comment(name) ~ ')' -%}
        {%- if run_query(query)[0][0] -%}
            {%- do log(this.identifier ~ ': ends no state, because ' ~ name ~ ' was built with --empty or --sample; build it first.', info=true) -%}
            {{ return(true) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}


{% macro has_watermarks(node) -%}
    {#- Unless it was last built from empty inputs. -#}
    {%- if node and node.config.materialized == 'incremental' -%}
        {%- for unique_id in node.depends_on.macros if unique_id.split('.')[-1] in ['changed_keys', 'skip_unless_changed'] -%}
            {{ return(true) }}
        {%- endfor -%}
    {%- endif -%}
    {{ return(false) }}
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
