-- user_key is a version of the fact's user that was valid then; it is the unknown member only if the user is unknown.
with

facts as (
    select
        'fct_orders' as fact_name,
        order_id as fact_id,
        user_key,
        user_id,
        ordered_at as happened_at
    from {{ ref('fct_orders') }}
    union all
    select
        'fct_order_items' as fact_name,
        order_item_id as fact_id,
        user_key,
        user_id,
        ordered_at as happened_at
    from {{ ref('fct_order_items') }}
    union all
    select
        'fct_user_sessions' as fact_name,
        session_id as fact_id,
        user_key,
        user_id,
        started_at as happened_at
    from {{ ref('fct_user_sessions') }}
    union all
    select
        'fct_user_events' as fact_name,
        event_id as fact_id,
        user_key,
        user_id,
        event_timestamp as happened_at
    from {{ ref('fct_user_events') }}
),

versions as (
    select * from {{ ref('dim_users') }}
),

known_users as (
    select distinct user_id
    from versions
    where user_key != {{ unknown_key() }}
),

final as (
    select facts.*
    from facts
    left join versions on facts.user_key = versions.user_key
    left join known_users
        on facts.user_id = known_users.user_id
            and facts.user_key = {{ unknown_key() }}
    where known_users.user_id is not null
        or (
            facts.user_key is distinct from {{ unknown_key() }}
            and (
                versions.user_id is distinct from facts.user_id
                or (facts.happened_at >= versions.effective_date) is not true
                or (facts.happened_at < versions.expiry_date) is not true
            )
        )
)

select * from final
