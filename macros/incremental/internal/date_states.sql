{% macro postgres__snapshot_merge_sql(target, source, insert_cols) -%}
    {#- dbt's own finds a state by dbt_scd_id alone, for which it reads the whole table. -#}
    {%- set names = config.get('snapshot_table_column_names') or get_snapshot_table_column_names() -%}
    {%- if adapter.get_hard_deletes_behavior(config) != 'ignore' -%}
        {%- do name_missing_rows(target, source, names) -%}
    {%- endif -%}
    {%- if config.get('strategy') == 'check' -%}
        {%- do date_states(target, source, names, insert_cols) -%}
    {%- endif %}
    create temporary table applied_changes () on commit drop;

    update {{ target }} as held
    set {{ names.dbt_valid_to }} = changes.{{ names.dbt_valid_to }}
    from {{ source }} as changes
    where {{ is_same_state('changes', 'held', names) }}
        and held.{{ names.dbt_scd_id }}::text = changes.{{ names.dbt_scd_id }}::text
        and changes.dbt_change_type::text in ('update', 'delete');

    insert into {{ target }} ({{ insert_cols | join(', ') }})
    select {{ prefixed('changes', insert_cols) }}
    from {{ source }} as changes
    where changes.dbt_change_type::text = 'insert'
{%- endmacro %}


{% macro name_missing_rows(target, source, names) -%}
    {#- dbt gives the state that ends, and leaves the key of the missing row null. -#}
    {%- set query -%}
        update {{ source }} as changes
        set
            {%- for column, name in keys_of_states().items() %}
            {{ name }} = held.{{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ target }} as held
        where changes.dbt_change_type = 'delete'
            and changes.{{ names.dbt_scd_id }}::text = held.{{ names.dbt_scd_id }}::text
            and {{ is_current_state('held', names) }}
    {%- endset -%}
    {%- do run_query(query) -%}
{%- endmacro %}


{% macro date_states(target, source, names, insert_cols) -%}
    {#-
        A state begins when its row was loaded: not later than now, and always later than the state before it. A row that the
        last run has seen is read again by another definition: that state begins now, and keeps the _loaded_at of the one that
        it corrects. Values of columns that are checked from now on were loaded with the row. A row that was missing returns after
        its last state ended.
    -#}
    {%- set finds_missing = adapter.get_hard_deletes_behavior(config) != 'ignore' -%}
    {%- set columns = insert_cols | map('replace', '"', '') | list -%}
    {%- set has_loads = '_loaded_at' in columns and not finds_missing -%}
    {#- As prepare_snapshot: such a run records nothing. -#}
    {%- set previous = {} if flags.EMPTY or is_sample() else read_watermarks() -%}
    {%- set watermark = previous.get('(states)') -%}
    {%- set newly_checked = newly_checked_columns(previous) -%}
    {%- set query -%}
        analyze {{ source }};

        update {{ source }} as changes
        set
            {{ names.dbt_valid_from }} = dated.began_at,
            {#- Readers find new states by it, in the order in which they were written, however old their rows are. -#}
            {{ names.dbt_updated_at }} = greatest(began_at, statement_timestamp()),
            {{ names.dbt_valid_to }} = case when dbt_change_type = 'insert' then changes.{{ names.dbt_valid_to }} else began_at end,
            {%- for column in ['_loaded_at', 'version_started_at'] if has_loads and column in columns %}
            {{ column }} = case when is_correction then dated.previous_{{ column }} else changes.{{ column }} end,
            {%- endfor %}
            {{ names.dbt_scd_id }} = case
                when dbt_change_type = 'insert' then {{ snapshot_hash_arguments(keys_of_states().values() | list + ['dated.began_at']) }}
                else changes.{{ names.dbt_scd_id }}
            end
        from (
            select
                *,
                case
                    {%- if finds_missing %}
                    when previous_from is null and given_at < previous_to then greatest(statement_timestamp(), previous_to)
                    {%- endif %}
                    when previous_from is null then least(given_at, statement_timestamp())
                    else greatest(
                        case
                            when is_correction or given_at <= previous_from then statement_timestamp()
                            else least(given_at, statement_timestamp())
                        end,
                        previous_from + interval '1 microsecond'
                    )
                end as began_at
            from (
                select
                    seen.place,
                    seen.was_seen,
                    seen.{{ names.dbt_valid_from }} as given_at,
                    held.{{ names.dbt_valid_from }} as previous_from,
                    {%- if finds_missing %}
                    ended.previous_to,
                    {%- endif %}
                    {%- if has_loads %}
                    {%- for column in ['_loaded_at', 'version_started_at'] if column in columns %}
                    held.{{ column }} as previous_{{ column }},
                    {%- endfor %}
                    {#- A table that was restored or truncated may lack what the last run has seen. #}
                    held.{{ names.dbt_valid_from }} is not null and coalesce(
                        seen._loaded_at = held._loaded_at
                        or {{ 'seen.was_seen' if previous.get('(definition)', {}).get('is_of_this_table') else 'false' }}
                        {%- for column in newly_checked %}
                        and seen.{{ column }} is not distinct from held.{{ column }}
                        {%- endfor %},
                        false
                    ) as is_correction
                    {%- else %}
                    false as is_correction
                    {%- endif %}
                from (
                    select
                        *,
                        ctid as place,
                        {% if has_loads and watermark and not watermark['is_of_another_server'] -%}
                            coalesce(not ({{ is_unseen_load(watermark, '_row_xid') }}), false)
                        {%- else -%}
                            false
                        {%- endif %} as was_seen
                    from {{ source }}
                ) as seen
                left join {{ target }} as held on {{ is_same_state('seen', 'held', names) }}
                {%- if finds_missing %}
                left join (
                    select {{ keys_of_states().keys() | join(', ') }}, max({{ names.dbt_valid_to }}) as previous_to
                    from {{ target }} as held
                    where not {{ is_current_state('held', names) }}
                    group by {{ keys_of_states().keys() | join(', ') }}
                ) as ended
                    on {% for column, name in keys_of_states().items() %}seen.{{ name }} = ended.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
                {%- endif %}
            ) as compared
        ) as dated
        where changes.ctid = dated.place
    {%- endset -%}
    {%- do run_query(query) -%}
{%- endmacro %}
