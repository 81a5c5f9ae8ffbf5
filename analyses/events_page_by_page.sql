-- One page of the events, such as for an export. The next page starts behind the last key of this
-- one, so every page costs the same; an offset would read all pages before it again. EXPLAIN shows
-- that the partitions' indexes on the key are merged and nothing is sorted.
with

events as (
    select * from {{ ref('fct_user_events') }}
),

final as (
    select
        event_id,
        event_timestamp,
        user_key,
        event_type
    from events
    -- The last key of the page before; what comes before every key gives the first page.
    where (event_id, event_timestamp) > ('', '-infinity'::timestamptz)
    order by 1, 2
    limit 1000
)

select * from final
