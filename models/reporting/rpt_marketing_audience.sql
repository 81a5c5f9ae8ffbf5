{{ config(alias='marketing_audience') }}

-- Reads what is loaded, not what was published last: a withdrawal must not wait for a build.
-- In doubt, a user is left out. Each decision that is no consent counts as a withdrawal, also if it is deleted, has no
-- purpose or is dated in the future; without a possible date, it counts as the last one.
with

consents as (
    select
        user_id,
        case
            when
                is_granted and is_included
                and purpose is not null and recorded_at <= current_timestamp
                then recorded_at
        end as agreed_at,
        case
            when is_granted is not true and exclusion_reason is null then recorded_at
            when is_granted is not true then {{ end_of_time() }}
        end as withdrawn_at
    from {{ ref('stg_app__consents') }}
    where purpose = {{ marketing_purpose() }} or purpose is null
),

decisions as (
    select
        user_id,
        max(agreed_at) as agreed_at,
        coalesce(max(withdrawn_at), {{ beginning_of_time() }}) as withdrawn_at
    from consents
    group by 1
),

users as (
    select user_id
    from {{ ref('stg_app__users') }}
    where is_included and not {{ is_erased('user_id') }}
),

erasure_requests as (
    select user_id
    from {{ ref('stg_app__erasure_requests') }}
    where not is_deleted
),

final as (
    select
        users.user_id,
        decisions.agreed_at
    from decisions
    inner join users on decisions.user_id = users.user_id
    left join erasure_requests on users.user_id = erasure_requests.user_id
    where decisions.agreed_at > decisions.withdrawn_at
        and erasure_requests.user_id is null
)

select * from final
