{% macro snapshot_of_name(name) -%}
    {%- set snapshots = graph.nodes.values() | selectattr('resource_type', 'equalto', 'snapshot') | list -%}
    {%- for node in snapshots if node.name == name -%}
        {%- if node.config.strategy != 'check' or node.config.check_cols is string -%}
            {{ exceptions.raise_compiler_error(
                'backfill_snapshot: ' ~ name ~ ' needs the strategy check with a list of check_cols, which say what a state is.'
            ) }}
        {%- endif -%}
        {{ return(node) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error(
        "backfill_snapshot: there is no snapshot '" ~ name ~ "'; there are " ~ snapshots | map(attribute='name') | sort | join(', ') ~ '.'
    ) }}
{%- endmacro %}


{% macro relation_of_name(name, advice) -%}
    {%- set parts = (name | string).replace('"', '').split('.') -%}
    {%- set relation = adapter.get_relation(target.database, parts[-2], parts[-1]) if parts | length > 1 -%}
    {%- if not relation -%}
        {{ exceptions.raise_compiler_error('backfill_snapshot: ' ~ name ~ ' does not exist; ' ~ advice ~ '.') }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}


{% macro states_of_history(node, target_relation, history_relation, valid_from) -%}
    {#-
        The columns in own are the snapshot's, and begin with the state; 'kept_' marks its row. All others are the history's.
        One that the history lacks and may lack, because it makes no version (it is not in check_cols), is taken from the
        first state that the warehouse saw.
    -#}
    {%- set key = node.config.unique_key -%}
    {%- set given = adapter.get_columns_in_relation(history_relation) | map(attribute='name') | list -%}
    {%- set needed = [key, valid_from] + node.config.check_cols | reject('equalto', 'is_deleted') | list -%}
    {%- for column in needed if column not in given -%}
        {{ exceptions.raise_compiler_error(
            'backfill_snapshot: ' ~ history_relation ~ " has no column '" ~ column ~ "'; it needs " ~ needed | join(', ') ~ '.'
        ) }}
    {%- endfor -%}
    {%- set began_at = 'history.' ~ valid_from ~ '::' ~ timestamp_type() -%}
    {%- set own = {
        'version_started_at': began_at,
        'exclusion_reason': 'null',
        '_loaded_at': began_at,
        '_row_xid': 'null',
        'dbt_scd_id': "'kept_' || md5(history." ~ key ~ "::text || '|' || extract(epoch from " ~ began_at ~ ")::text)",
        'dbt_updated_at': began_at,
        'dbt_valid_from': began_at,
        'dbt_valid_to': 'least(lead(' ~ began_at ~ ') over (partition by history.' ~ key ~ ' order by ' ~ began_at ~ '), seen.dbt_valid_from, '
            ~ node.config.dbt_valid_to_current ~ ')',
    } -%}
    {%- set columns = adapter.get_columns_in_relation(target_relation) -%}
    {%- set sql -%}
        select
            {%- for column in columns %}
            (
                {%- if column.name in own -%}
                    {{ own[column.name] }}
                {%- elif column.name in given -%}
                    history.{{ column.name }}
                {%- elif column.name == 'is_deleted' -%}
                    false
                {%- else -%}
                    seen.{{ column.name }}
                {%- endif -%}
            )::{{ column.data_type }} as {{ column.name }},
            {%- endfor %}
            coalesce(seen.dbt_valid_from, 'infinity') as seen_from
        from {{ history_relation }} as history
        left join (
            select distinct on ({{ key }}) *
            from {{ target_relation }}
            where dbt_scd_id not like 'kept\_%'
            order by {{ key }}, dbt_valid_from
        ) as seen on history.{{ key }}::text = seen.{{ key }}
    {%- endset -%}
    {{ return({'sql': sql, 'columns': columns | map(attribute='name') | list}) }}
{%- endmacro %}


{% macro check_kept_states(key, history, valid_from) -%}
    {%- set query -%}
        select
            count(*) filter (where {{ key }} is null or dbt_valid_from is null),
            count(*) filter (where dbt_valid_from > current_timestamp or dbt_valid_from < {{ beginning_of_time() }}),
            count(*) - count(distinct ({{ key }}, dbt_valid_from))
        from kept_states
    {%- endset -%}
    {%- set counts = run_query(query)[0] -%}
    {%- set faults = {
        'rows without ' ~ key ~ ' or ' ~ valid_from: counts[0],
        'rows whose ' ~ valid_from ~ ' lies in the future or before 1900': counts[1],
        'rows that repeat the same ' ~ key ~ ' and ' ~ valid_from: counts[2],
    } -%}
    {%- for fault, rows in faults.items() if rows -%}
        {{ exceptions.raise_compiler_error(
            'backfill_snapshot: ' ~ history ~ ' has ' ~ rows ~ ' ' ~ fault ~ '; nothing was changed.'
        ) }}
    {%- endfor -%}
{%- endmacro %}
