-- render() omits the subquery that dbt wraps around refs under --empty: tableoid is unknown outside it.
{%- set days_to_test = keys_to_test('date_key', [ref('fct_user_events')]) %}

with

partitions as (
    select
        tableoid::regclass::text as partition_name,
        min(event_timestamp) at time zone 'UTC' as first_event,
        max(event_timestamp) at time zone 'UTC' as last_event
    from {{ ref('fct_user_events').render() }}
    where {{ is_to_test(days_to_test) }}
    group by 1
),

final as (
    select * from partitions
    where (
        strpos(partition_name, to_char(first_event, '"fct_user_events_"YYYY_MM"_"')) > 0
        and date_trunc('month', first_event) = date_trunc('month', last_event)
    ) is not true
)

select * from final
