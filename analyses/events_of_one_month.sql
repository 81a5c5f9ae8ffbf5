-- Events of one month by type. EXPLAIN shows that the query reads only that month's partition.
with

events as (
    select * from {{ ref('fct_user_events') }}
    where event_timestamp >= '2026-01-01 00:00:00+00'
        and event_timestamp < '2026-02-01 00:00:00+00'
),

final as (
    select
        event_type,
        count(*) as events,
        count(distinct user_id) as users
    from events
    group by 1
)

select * from final
