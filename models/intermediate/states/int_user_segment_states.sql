{{ config(materialized='ephemeral') }}

-- Ephemeral: only the snapshot reads it.
with

users as (
    select * from {{ ref('dim_users') }}
    where is_current and user_id is not null
),

segments as (
    select * from {{ ref('user_segments') }}
),

final as (
    select
        users.user_id,
        -- Deleted users get a segment of their own: a snapshot does not notice a missing row.
        coalesce(segments.user_segment, '(none)') as user_segment,
        coalesce(segments.rfm_segment, '(none)') as rfm_segment,
        segments.total_spent,
        {{ as_of() }} as as_of
    from users
    left join segments on users.user_id = segments.user_id
    where (segments.user_id is not null or users.is_deleted)
        -- As of a past day, users who signed up later have no history yet.
        and (segments.signup_date > {{ local_date(as_of()) }}) is not true
        and {{ is_latest_as_of('snp_user_segments') }}
)

select * from final
