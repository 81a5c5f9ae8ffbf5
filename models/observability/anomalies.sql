{{ config(
    unique_key=['table_name', 'measure', 'column_name', 'day'],
    indexes=[
        {'columns': ['day'], 'why': 'the anomalies of a day'},
    ],
    meta={'change_log_keys': []},
) }}

{%- do skip_unless_changed(also_each='day') %}

{%- set judged_days = var('anomaly_days') | int %}
{%- set today = local_date(as_of()) %}
{%- set first_day = first_measured_day() %}

-- Marts with one row per day are daily measures already.
{%- set marts = {
    'daily_revenue': {
        'relation': ref('daily_revenue'), 'day': 'revenue_date', 'row_count': 'orders',
        'counts': ['orders'], 'amounts': ['revenue', 'avg_order_value'],
    },
    'active_users': {
        'relation': ref('active_users'), 'day': 'metric_date', 'row_count': 'daily_active_users',
        'counts': ['daily_active_users', 'sessions'], 'amounts': [],
    },
} %}

with

numbers as (
    {{ whole_numbers(judged_days + history_days() | int) }}
),

days as (
    select
        {{ add_days(today, '-n - 1') }} as day,
        n < {{ judged_days }} as is_judged
    from numbers
),

of_tables as (
    select
        table_name,
        measure,
        column_name,
        day,
        value::{{ float_type() }} as value,
        row_count
    from {{ ref('daily_measures') }}
    where day >= {{ first_day }} and day < {{ today }}
),

{% for table_name, mart in marts.items() -%}
    {%- for column in mart.counts + mart.amounts -%}
        of_{{ table_name }}_{{ column }} as (
            select
                '{{ table_name }}'::{{ text_type() }} as table_name,
                '{{ 'count' if column in mart.counts else 'amount' }}'::{{ text_type() }}
                    as measure,
                '{{ column }}'::{{ text_type() }} as column_name,
                {{ mart.day }} as day,
                {{ column }}::{{ float_type() }} as value,
                {{ mart.row_count }} as row_count
            from {{ mart.relation }}
            where {{ mart.day }} >= {{ first_day }} and {{ mart.day }} < {{ today }}
                and {{ mart.row_count }} > 0
        ),

    {% endfor -%}
{%- endfor -%}

measured as (
    select * from of_tables
    {%- for table_name, mart in marts.items() %}
        {%- for column in mart.counts + mart.amounts %}
            union all
            select * from of_{{ table_name }}_{{ column }}
        {%- endfor %}
    {%- endfor %}
),

named as (
    select distinct
        table_name,
        measure,
        column_name,
        measure in ('rows', 'count') as is_count,
        measure in ('null_rate', 'failed_rate', 'distinct_count') as is_share
    from measured
),

series as (
    select
        *,
        row_number() over (order by table_name, measure, column_name) as series_id
    from named
),

-- A table without rows on a day has no row there. Its history begins with its first day with rows.
tables as (
    select
        table_name,
        min(day) as first_day
    from measured
    group by 1
),

table_days as (
    select
        table_name,
        day,
        max(row_count) as row_count
    from measured
    where measure in ('rows', 'count')
    group by 1, 2
),

every_value as (
    select
        series.*,
        days.day,
        days.is_judged,
        tables.first_day,
        {{ iso_day_of_week('days.day') }} as day_of_week,
        coalesce(measured.row_count, table_days.row_count, 0) as row_count,
        case
            when series.is_count then coalesce(measured.value, 0)
            -- No row failed.
            when series.measure = 'failed_rate' and table_days.row_count > 0
                then coalesce(measured.value, 0)
            else measured.value
        end as value
    from series
    inner join tables on series.table_name = tables.table_name
    inner join days on tables.first_day <= days.day
    left join measured
        on series.table_name = measured.table_name
            and series.measure = measured.measure
            and series.column_name = measured.column_name
            and days.day = measured.day
    left join table_days
        on series.table_name = table_days.table_name and days.day = table_days.day
),

known_values as (
    select
        *,
        {{ is_known_anomaly() }} as is_known,
        -- A rate is a share of the rows, a distinct count a number of them.
        case when measure = 'distinct_count' then 1 else row_count end as parts
    from every_value
    where value is not null
),

-- Counts and amounts vary by a factor, and shares by their binomial error: on these scales the spread is about the same
-- whatever the level.
scaled as {{ materialized_cte() }} (
    select
        *,
        case
            when is_count then ln(value + 1)
            when is_share then asin(sqrt((value * parts + 0.375) / (row_count + 0.75)))
            else ln(greatest(abs(value), 0.0001))
        end as y
    from known_values
),

history as {{ materialized_cte() }} (
    select
        judged.series_id,
        judged.day,
        past.day_of_week,
        past.is_count,
        past.y,
        past.value,
        past.day >= {{ add_days('judged.day', -7) }} as is_of_last_week,
        past.day >= {{ add_days('judged.day', -28) }} as is_of_last_weeks
    from scaled as judged
    inner join scaled as past
        on judged.series_id = past.series_id
            and judged.day > past.day
            and {{ add_days('judged.day', '-' ~ history_days()) }} <= past.day
    where judged.is_judged and not past.is_known
),

-- A day without rows tells how often a weekday is closed, not how much is sold on it.
weekdays as (
    select
        series_id,
        day,
        day_of_week,
        bool_or(not is_count) or 2 * count(*) filter (where is_of_last_weeks and value > 0)
        >= count(*) filter (where is_of_last_weeks) as is_open,
        count(*) filter (where not is_count or value > 0) as open_days,
        count(*) as all_days,
        percentile_cont(0.5) within group (
            order by case when not is_count or value > 0 then y end
        ) as median_y
    from history
    group by 1, 2, 3
),

levels as (
    select
        *,
        case when is_open then coalesce(median_y, 0) else 0 end as y,
        case when is_open then open_days else all_days end as known_days
    from weekdays
),

residuals as (
    select
        history.series_id,
        history.day,
        history.y - levels.y as residual,
        case when history.is_of_last_week then history.y - levels.y end as recent_residual
    from history
    inner join levels
        on history.series_id = levels.series_id
            and history.day = levels.day
            and history.day_of_week = levels.day_of_week
    where levels.is_open and (not history.is_count or history.value > 0)
),

spreads as (
    select
        series_id,
        day,
        1.4826 * percentile_cont(0.5) within group (order by abs(residual)) as spread,
        case
            when count(recent_residual) >= 3
                then percentile_cont(0.5) within group (order by recent_residual)
            else 0
        end as shift
    from residuals
    group by 1, 2
),

expected as (
    select
        scaled.*,
        levels.known_days,
        levels.y + case when levels.is_open then coalesce(spreads.shift, 0) else 0 end
            as expected_y,
        coalesce(spreads.spread, 0) as spread
    from scaled
    left join levels
        on scaled.series_id = levels.series_id
            and scaled.day = levels.day
            and scaled.day_of_week = levels.day_of_week
    left join spreads
        on scaled.series_id = spreads.series_id and scaled.day = spreads.day
    where scaled.is_judged
),

-- The least spread is what chance alone causes, or what nobody needs to know.
reaching as (
    select
        *,
        day >= {{ add_days('first_day', 14) }} and known_days >= 2 as has_history,
        {{ var('anomaly_threshold') }} * greatest(
            spread,
            case
                when is_count then greatest(0.1, 1 / sqrt(exp(greatest(expected_y, 0))))
                when is_share then greatest(0.025, 0.5 / sqrt(row_count))
                else greatest(0.4, 1.5 / sqrt(row_count))
            end
        ) * sqrt((known_days + 1.0) / nullif(known_days - 1, 0)) as reach
    from expected
),

bounds as (
    select
        *,
        case when is_share then greatest(expected_y - reach, 0) else expected_y - reach end
            as low_y,
        case when is_share then least(expected_y + reach, pi() / 2) else expected_y + reach end
            as high_y
    from reaching
),

share_bounds as (
    select
        *,
        power(sin(low_y), 2) * (row_count + 0.75) - 0.375 as low_rows,
        power(sin(high_y), 2) * (row_count + 0.75) - 0.375 as high_rows
    from bounds
),

sizes as (
    select
        *,
        case
            when is_count then greatest(exp(least(low_y, 34)) - 1, 0)
            when is_share then least(greatest(low_rows, 0), row_count) / parts
            else exp(least(low_y, 34))
        end as low_size,
        case
            when is_count then greatest(exp(least(high_y, 34)) - 1, 0)
            when is_share then least(greatest(high_rows, 0), row_count) / parts
            else exp(least(high_y, 34))
        end as high_size,
        case when value < 0 then -1 else 1 end as sign
    from share_bounds
),

rounded as (
    select
        *,
        value::{{ measure_type() }} as rounded_value,
        (
            case when has_history then case when sign = 1 then low_size else -high_size end end
        )::{{ measure_type() }} as expected_low,
        (
            case when has_history then case when sign = 1 then high_size else -low_size end end
        )::{{ measure_type() }} as expected_high
    from sizes
),

judged as (
    select
        *,
        case
            when is_known then 'known'
            when expected_low is null then 'too_little_history'
            when rounded_value < expected_low then 'low'
            when rounded_value > expected_high then 'high'
            else 'normal'
        end as verdict
    from rounded
),

final as (
    select
        table_name,
        measure,
        column_name,
        day,
        rounded_value as value,
        row_count,
        expected_low,
        expected_high,
        verdict,
        verdict in ('low', 'high') as is_anomaly
    from judged
)

select * from final
