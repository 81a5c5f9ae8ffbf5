{{ config(materialized='ephemeral') }}

-- Lists the snapshot's columns: a snapshot selects all columns and cannot be rebuilt, so a new staging column must not reach it.
with

users as (
    select * from {{ ref('stg_app__users') }}
    -- The snapshot indexes its key, which a row without a reason has.
    where exclusion_reason is null
),

final as (
    select
        user_id,
        email,
        first_name,
        last_name,
        phone,
        country,
        subscription_tier,
        is_deleted,
        birth_date,
        signed_up_at,
        last_login_at,
        version_started_at,
        exclusion_reason,
        _loaded_at,
        _row_xid
    from users
)

select * from final
