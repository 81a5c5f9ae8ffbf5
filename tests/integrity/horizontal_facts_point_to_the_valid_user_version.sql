-- user_key is a version of the fact's user that was valid then; it is the unknown member only if the user is unknown.
-- The lines of an order have its user_key, which another test checks; facts without a user have tests of their own.
{%- set users_to_test = keys_to_test('user_id', [
    ref('fct_orders'), ref('fct_user_sessions'), ref('fct_user_events'),
    ref('fct_user_consents'), ref('dim_users')
], with_nulls=false) %}

with

facts as (
    select
        'fct_orders' as fact_name,
        order_id as fact_id,
        user_key,
        user_id,
        ordered_at as happened_at
    from {{ ref('fct_orders') }}
    where {{ is_to_test(users_to_test) }}
    union all
    select
        'fct_user_sessions' as fact_name,
        session_id as fact_id,
        user_key,
        user_id,
        started_at as happened_at
    from {{ ref('fct_user_sessions') }}
    where {{ is_to_test(users_to_test) }}
    union all
    select
        'fct_user_events' as fact_name,
        event_id as fact_id,
        user_key,
        user_id,
        event_timestamp as happened_at
    from {{ ref('fct_user_events') }}
    where {{ is_to_test(users_to_test) }}
    union all
    select
        'fct_user_consents' as fact_name,
        consent_id as fact_id,
        user_key,
        user_id,
        valid_from as happened_at
    from {{ ref('fct_user_consents') }}
    where {{ is_to_test(users_to_test) }}
),

versions as (
    select * from {{ ref('dim_users') }}
    where {{ is_to_test(users_to_test) }}
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
