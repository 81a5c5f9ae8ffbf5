-- user_rfm and user_segments have the same users, with the same scores and RFM segment.
with

user_rfm as (
    select * from {{ ref('user_rfm') }}
),

user_segments as (
    select * from {{ ref('user_segments') }}
),

final as (
    select
        user_rfm.user_id,
        user_segments.user_id as segmented_user_id
    from user_rfm
    full outer join user_segments on user_rfm.user_id = user_segments.user_id
    where user_rfm.user_id is null
        or user_segments.user_id is null
        or user_rfm.recency_score is distinct from user_segments.recency_score
        or user_rfm.frequency_score is distinct from user_segments.frequency_score
        or user_rfm.monetary_score is distinct from user_segments.monetary_score
        or user_rfm.rfm_segment is distinct from user_segments.rfm_segment
)

select * from final
