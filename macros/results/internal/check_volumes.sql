{% macro check_volumes() -%}
    {%- set tables = volumes_to_measure() if not flags.EMPTY and not is_sample() else {} -%}
    {%- if tables -%}
        {%- set rows = run_query(query_of_volumes(tables, counted_volumes(tables))).rows -%}
        {%- set findings = findings_in_volumes(rows) -%}
        {%- if findings and not (var('accept_volumes') or env_var('WAREHOUSE_ACCEPT_VOLUMES', '') == '1') -%}
            {%- do record_stopped_run(findings) -%}
            {{ exceptions.raise_compiler_error(
                'Nothing was built, because ' ~ findings | join('\n- and ') ~ '.\nCorrect the load. If this is right, let it through once: warehouse build'
                ~ " --accept, or dbt build --vars '{accept_volumes: true}' (docs/quality.md)."
            ) }}
        {%- elif findings -%}
            {%- do exceptions.warn('Accepted: ' ~ findings | join('; ') ~ '.') -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro record_stopped_run(findings) -%}
    {#- dbt asks no hook at the end of such a run, and an alert should see it. -#}
    {%- do run_query(
        'insert into ' ~ state_relation('runs') ~ ' (invocation_id, command, target, started_at, finished_at, seconds, status, node_count,'
        ~ ' failed_count, warned_count, skipped_count, not_published_because) values ('
        ~ quoted_texts([invocation_id, flags.WHICH, target.name, run_started_at]) ~ ', now(), extract(epoch from now() - '
        ~ quoted_texts([run_started_at]) ~ "::timestamptz), 'failure', 0, 0, 0, 0, " ~ quoted_texts([findings | join('; ')]) ~ ')'
    ) -%}
{%- endmacro %}


{% macro volumes_to_measure() -%}
    {%- set tables = {} -%}
    {%- for name, reader in readers_of_sources().items() if '_loaded_at' in reader.source.columns and '_deleted_at' in reader.source.columns -%}
        {%- do tables.update({name: api.Relation.create(
            database=reader.source.database, schema=reader.source.schema, identifier=reader.source.identifier
        )}) -%}
    {%- endfor -%}
    {{ return(tables) }}
{%- endmacro %}


{% macro counted_volumes(tables) -%}
    {#-
        Statistics are far off for small tables, which cost little to count, and unknown for views. A large table is counted if any of
        them says that it may have lost rows.
    -#}
    {%- set row_counts = {} -%}
    {%- for row in run_query(query_of_estimates(tables)) -%}
        {%- set is_counted = row['row_count'] < 200000 or row['row_count'] < row['rows_before'] * (1 - (var('max_lost_share') | float) / 2) -%}
        {%- do row_counts.update({
            row['table_name']: run_query('select count(*) from ' ~ tables[row['table_name']])[0][0] | int if is_counted else row['row_count'] | int
        }) -%}
    {%- endfor -%}
    {{ return(row_counts) }}
{%- endmacro %}


{% macro query_of_estimates(tables) -%}
    {#- The lower of what PostgreSQL counted and what it last analyzed; 0 for a view. #}
    {%- for name, relation in tables.items() %}
    select
        '{{ name }}' as table_name,
        coalesce((
            select sum(least(pg_stat_get_live_tuples(leaves.oid), greatest(leaves.reltuples, 0)))
            from pg_class as leaves
            where leaves.relkind in ('r', 'm')
                and (leaves.oid = {{ regclass_of(relation) }} or leaves.oid in (select relid from pg_partition_tree({{ regclass_of(relation) }}) where isleaf))
        ), 0)::bigint as row_count,
        coalesce((
            select row_count from {{ state_relation('source_volumes') }}
            where table_name = '{{ name }}' and is_passed and measured_at <= now()
            order by measured_at desc
            limit 1
        ), 0) as rows_before
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{% macro query_of_volumes(tables, row_counts) -%}
    {%- set volumes = state_relation('source_volumes') -%}
    {%- set now = 'now()' %}
    with

    last as (
        select distinct on (table_name) table_name, measured_at, row_count
        from {{ volumes }}
        where is_passed and measured_at <= now()
        order by table_name, measured_at desc
    ),

    {#- However often runs follow each other, the rows of about a day are compared. #}
    day_before as (
        select distinct on (table_name) table_name, measured_at
        from {{ volumes }}
        where is_passed and measured_at <= {{ now }} - interval '20 hours'
        order by table_name, measured_at desc
    ),

    measured as (
        {%- for name, relation in tables.items() %}
        select
            '{{ name }}' as table_name,
            {{ row_counts[name] }} as row_count,
            last_measured.measured_at as measured_since,
            day_before.measured_at as day_began_at,
            found.loaded_rows - least(expired.rows_since, found.loaded_rows) as loaded_rows,
            found.deleted_rows - least(expired.rows_since, found.deleted_rows) as deleted_rows,
            found.rows_of_day - least(expired.rows_of_day, found.rows_of_day) as rows_of_day
        from (select 1) as one_row
        left join last as last_measured on last_measured.table_name = '{{ name }}'
        left join day_before on day_before.table_name = '{{ name }}'
        cross join lateral (
            select
                count(*) filter (where _loaded_at > last_measured.measured_at) as loaded_rows,
                {#- Not those of a table that was loaded again. #}
                count(*) filter (where _loaded_at > last_measured.measured_at and _deleted_at > last_measured.measured_at) as deleted_rows,
                count(*) as rows_of_day
            from {{ relation }}
            where _loaded_at > coalesce(day_before.measured_at, last_measured.measured_at) and _loaded_at <= {{ now }}
        ) as found
        {#- Rows that `warehouse retain` marked as deleted are no load. #}
        cross join lateral (
            select
                coalesce(sum(row_count) filter (where detached_at > last_measured.measured_at), 0)::bigint as rows_since,
                coalesce(sum(row_count), 0)::bigint as rows_of_day
            from {{ state_relation('expired_partitions') }}
            where model_name = 'app.{{ name }}' and detached_at > coalesce(day_before.measured_at, last_measured.measured_at)
        ) as expired
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    volumes as (
        insert into {{ volumes }} (
            invocation_id, table_name, measured_at, measured_since, row_count, loaded_rows, deleted_rows, rows_per_day
        )
        select
            '{{ invocation_id }}',
            table_name,
            {{ now }},
            measured_since,
            row_count,
            case when measured_since is not null then loaded_rows end,
            case when measured_since is not null then deleted_rows end,
            case
                when day_began_at is not null
                    then rows_of_day * 86400.0 / extract(epoch from {{ now }} - day_began_at)
            end
        from measured
        returning *
    ),

    history as (
        select
            volumes.table_name,
            recent.rows_per_day,
            extract(isodow from recent.measured_at) = extract(isodow from volumes.measured_at) as is_same_weekday
        from volumes
        cross join lateral (
            select distinct on (earlier.measured_at::date) earlier.rows_per_day, earlier.measured_at
            from {{ volumes }} as earlier
            where earlier.table_name = volumes.table_name and earlier.is_passed and earlier.rows_per_day is not null
                and earlier.measured_at <= now() - interval '20 hours'
            order by earlier.measured_at::date desc, earlier.measured_at desc
            limit 56
        ) as recent
    ),

    medians as (
        select table_name, count(*) as days, percentile_cont(0.5) within group (order by rows_per_day) as median
        from history
        group by 1
    ),

    usual as (
        select
            history.table_name,
            medians.days,
            medians.median,
            1.4826 * percentile_cont(0.5) within group (order by abs(history.rows_per_day - medians.median)) as spread,
            count(*) filter (where history.is_same_weekday) as same_weekdays,
            min(history.rows_per_day) filter (where history.is_same_weekday) as lowest,
            max(history.rows_per_day) filter (where history.is_same_weekday) as highest
        from history
        inner join medians on history.table_name = medians.table_name
        group by 1, 2, 3
    )

    select
        volumes.table_name,
        last.row_count as rows_before,
        last.measured_at as measured_before,
        volumes.row_count as rows_now,
        volumes.deleted_rows,
        round(volumes.rows_per_day) as rows_per_day,
        round(usual.median) as median,
        usual.days,
        coalesce(
            last.row_count - volumes.row_count > last.row_count * {{ var('max_lost_share') }} and last.row_count - volumes.row_count >= 20, false
        ) as has_lost_rows,
        coalesce(volumes.deleted_rows > last.row_count * {{ var('max_lost_share') }} and volumes.deleted_rows >= 20, false) as has_deleted_rows,
        coalesce(
            usual.days >= 14 and (usual.median > 0 or volumes.rows_per_day < usual.median)
            and abs(volumes.rows_per_day - usual.median) >= greatest(100, 6 * usual.spread)
            and not volumes.rows_per_day between usual.median / 3 and usual.median * 3
            and not (usual.same_weekdays >= 3 and volumes.rows_per_day between usual.lowest / 2 and usual.highest * 2),
            false
        ) as is_unusual
    from volumes
    left join last on volumes.table_name = last.table_name
    left join usual on volumes.table_name = usual.table_name
    order by 1
{%- endmacro %}


{% macro findings_in_volumes(rows) -%}
    {%- set findings = [] -%}
    {%- for row in rows -%}
        {%- set before = 'at the last run, on ' ~ row['measured_before'] -%}
        {%- if row['has_lost_rows'] -%}
            {%- do findings.append(
                row['table_name'] ~ ' has ' ~ '{:,}'.format(row['rows_now'] | int) ~ ' rows, and had ' ~ '{:,}'.format(row['rows_before'] | int) ~ ' ' ~ before
                ~ '; allowed is a loss of ' ~ ((var('max_lost_share') | float) * 100) | round(1) ~ ' % (variable max_lost_share)'
            ) -%}
        {%- endif -%}
        {%- if row['has_deleted_rows'] -%}
            {%- do findings.append(
                '{:,}'.format(row['deleted_rows'] | int) ~ ' rows of ' ~ row['table_name'] ~ ' were marked as deleted, which had '
                ~ '{:,}'.format(row['rows_before'] | int) ~ ' rows ' ~ before ~ '; allowed are '
                ~ ((var('max_lost_share') | float) * 100) | round(1) ~ ' % (variable max_lost_share)'
            ) -%}
        {%- endif -%}
        {%- if row['is_unusual'] -%}
            {%- do findings.append(
                row['table_name'] ~ ' got ' ~ '{:,}'.format(row['rows_per_day'] | int) ~ ' rows per day; usual are ' ~ '{:,}'.format(row['median'] | int)
                ~ ', the median of ' ~ row['days'] ~ ' runs'
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(findings) }}
{%- endmacro %}
