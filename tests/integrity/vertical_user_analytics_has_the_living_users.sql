with

user_analytics as (
    select * from {{ ref('user_analytics') }}
),

living_users as (
    select user_id
    from {{ ref('stg_app__users') }}
    where is_included
),

final as (
    select
        living_users.user_id as staged_user_id,
        user_analytics.user_id
    from living_users
    full outer join user_analytics on living_users.user_id = user_analytics.user_id
    where (living_users.user_id is null or user_analytics.user_id is null)
        and {{ were_built_together() }}
)

select * from final
