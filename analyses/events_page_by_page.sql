-- One page of the events, for example for an export. The next page starts after the last key of this
-- one, so every page costs the same; an offset would read all earlier pages again. EXPLAIN shows a
-- merge of the partitions' indexes on the key, without a sort.
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
    -- The last key of the previous page; a value below every key returns the first page.
    where (event_id, event_timestamp) > ('', '-infinity'::timestamptz)
    order by 1, 2
    limit 1000
)

select * from final
