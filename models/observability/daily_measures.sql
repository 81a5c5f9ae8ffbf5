{{ config(
    unique_key=['source_name', 'day', 'table_name', 'measure', 'column_name'],
    indexes=[
        {'columns': ['day'], 'why': 'all measures of some days, and days to drop'},
    ],
    meta={'change_log_keys': []},
) }}

-- What is measured, by table of the source contract, or by name of a mart of your own.
{%- set measured = {
    'users': measured_rows(
        ref('dim_users'),
        dated_by='signed_up_at',
        logged='signed_up_at',
        where='is_current and not is_deleted',
        null_rates=[
            'email', 'first_name', 'last_name', 'phone', 'birth_date', 'country',
            'subscription_tier',
        ],
        distinct_counts=['email'],
    ),
    'orders': measured_rows(
        ref('fct_orders'),
        dated_by='ordered_at',
        null_rates={
            'user_id': 'user_id',
            'order_status': 'order_status',
            'currency': 'currency',
            'item_count': 'nullif(item_count, 0)',
        },
        distinct_counts={'user_id': 'user_id', '(content)': ['user_id', 'ordered_at']},
        means=['order_amount', 'item_count'],
    ),
    'order_items': measured_rows(
        ref('fct_order_items'),
        dated_by='ordered_at',
        null_rates=['product_id'],
        distinct_counts={
            'product_id': 'product_id',
            '(content)': ['order_id', 'product_id', 'quantity', 'price_at_purchase'],
        },
        means=['quantity', 'price_at_purchase'],
    ),
    'payments': measured_rows(
        ref('fct_payments'),
        dated_by='paid_at',
        null_rates=['order_id', 'payment_method', 'payment_status'],
        distinct_counts={'(content)': ['order_id', 'amount', 'paid_at']},
        means=['amount'],
    ),
    'user_sessions': measured_rows(
        ref('fct_user_sessions'),
        dated_by='started_at',
        null_rates=['user_id', 'device', 'duration_seconds'],
        distinct_counts={'user_id': 'user_id', '(content)': ['user_id', 'device', 'started_at']},
        means=['duration_seconds'],
    ),
    'events': measured_rows(
        ref('fct_user_events'),
        dated_by='event_timestamp',
        null_rates=[
            'user_id', 'session_id', 'event_type', 'page_url', 'referrer_url', 'properties',
        ],
        distinct_counts={
            'user_id': 'user_id',
            'session_id': 'session_id',
            '(content)': ['user_id', 'session_id', 'event_type', 'event_timestamp'],
        },
    ),
} %}

{%- set upstreams = [upstream(ref('int_row_issues'), columns=['table_name', 'row_date'])] %}
{%- for source_name, table in measured.items() %}
    {%- do upstreams.append(upstream(
        table.relation, columns=table.logged, key=["'" ~ source_name ~ "'::text", table.day]
    )) %}
{%- endfor %}
-- Days that no verdict reads any more are dropped, and a change of them reads nothing.
{%- set changed_days = changed_keys(
    ['source_name', 'day'], upstreams, recompute_when='day < ' ~ first_measured_day()
) %}

with

{% for source_name, table in measured.items() -%}
    measured_{{ source_name }} as (
        {{ measures_of_rows(source_name, table, changed_days) }}
    ),
{% endfor %}

of_marts as (
    {%- for source_name in measured %}
        {{ 'union all' if not loop.first }}
        select * from measured_{{ source_name }}
    {%- endfor %}
),

issues as (
    select
        table_name as source_name,
        row_date as day,
        row_key,
        rule_name,
        effect
    from {{ ref('int_row_issues') }}
    where {{ is_changed(changed_days, ['table_name', 'row_date']) }}
        and row_date >= {{ first_measured_day() }}
        and table_name in (
            '{{ measured | join("',
            '") }}'
        )
),

-- A mart lacks the rows that are excluded, and a source does not.
delivered as (
    select
        source_name,
        day,
        row_count
    from of_marts
    where measure = 'rows'
    union all
    select
        source_name,
        day,
        count(distinct row_key) as row_count
    from issues
    where effect = 'exclude'
    group by 1, 2
),

of_sources as (
    select
        source_name,
        day,
        sum(row_count)::bigint as row_count
    from delivered
    group by 1, 2
),

failing as (
    select
        source_name,
        day,
        rule_name,
        count(*) as row_count
    from issues
    group by 1, 2, 3
),

final as (
    select
        source_name,
        table_name,
        day,
        measure,
        column_name,
        value,
        row_count
    from of_marts
    union all
    select
        source_name,
        source_name as table_name,
        day,
        'rows' as measure,
        '*' as column_name,
        row_count::{{ measure_type() }} as value,
        row_count
    from of_sources
    union all
    select
        failing.source_name,
        failing.source_name as table_name,
        failing.day,
        'failed_rate' as measure,
        failing.rule_name as column_name,
        -- Expired events have issues and are in no mart.
        least(failing.row_count::numeric / of_sources.row_count, 1)::{{ measure_type() }} as value,
        of_sources.row_count
    from failing
    inner join of_sources
        on failing.source_name = of_sources.source_name and failing.day = of_sources.day
)

select * from final
