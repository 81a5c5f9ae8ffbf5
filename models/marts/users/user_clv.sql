{{ config(
    unique_key='user_id',
    indexes=[
        {'columns': ['user_id'], 'unique': true, 'why': 'the key, looked up by builds'},
        {'columns': ['predicted_on'], 'why': 'users whose prediction is of an earlier day'},
    ],
) }}

{#- No tracked_keys: each day moves every prediction, so a model that followed this one would compute everybody anew. -#}
{%- set changed_users = changed_keys(
    'user_id',
    [
        ref('int_user_activity'),
        ref('int_user_purchase_history'),
        ref('int_clv_parameters'),
    ],
    due='predicted_on < ' ~ utc_date(as_of())
) %}

with

activity as (
    select *
    from {{ ref('int_user_activity') }}
    where {{ is_in(changed_users) }}
),

parameters as (
    select * from {{ ref('int_clv_parameters') }}
),

trusted_parameters as (
    select * from parameters
    where no_prediction_because is null
),

histories as (
    select
        *,
        {{ weeks_between('first_purchase_date', utc_date(as_of())) }} as age_weeks
    from {{ ref('int_user_purchase_history') }}
    where {{ is_in(changed_users) }}
),

-- Most users share their history with others: what depends on it alone is computed once.
pairs as (
    select distinct
        histories.repeat_purchases,
        histories.age_weeks
    from histories
    cross join trusted_parameters
),

scores as (
    {{ score_purchase_histories('pairs', 'trusted_parameters') | indent(4) }}
),

left_or_not as (
    select
        histories.*,
        trusted_parameters.*,
        {{ log_odds_of_having_left() | indent(8) }} as log_odds
    from histories
    cross join trusted_parameters
),

valued as (
    select
        *,
        {{ p_alive('log_odds') | indent(8) }} as p_alive,
        p * (v + repeat_purchases * coalesce(mean_repeat_amount, 0))
        / (p * repeat_purchases + q - 1) as order_value
    from left_or_not
),

-- By how many per cent the value rises when a parameter does by one.
predicted as (
    select
        valued.*,
        valued.p_alive * scores.orders_30d as orders_30d,
        valued.p_alive * scores.orders_90d as orders_90d,
        valued.p_alive * scores.orders_365d as orders_365d,
        valued.order_value * valued.p_alive * scores.discounted_orders as predicted_value,
        scores.by_r
        - (1 - valued.p_alive) * valued.r
        * ln((valued.alpha + valued.age_weeks) / (valued.alpha + valued.recency_weeks)) as by_r,
        scores.by_alpha
        - (1 - valued.p_alive) * (valued.r + valued.repeat_purchases) * valued.alpha
        * (
            1 / (valued.alpha + valued.age_weeks) - 1 / (valued.alpha + valued.recency_weeks)
        ) as by_alpha,
        scores.by_a - (1 - valued.p_alive) as by_a,
        scores.by_b
        + case
            when valued.log_odds is null then 0
            else
                (1 - valued.p_alive) * valued.b
                / (valued.b + valued.repeat_purchases + valued.may_leave_at_once - 1)
        end as by_b,
        1 - valued.p * valued.repeat_purchases
        / (valued.p * valued.repeat_purchases + valued.q - 1) as by_p,
        -valued.q / (valued.p * valued.repeat_purchases + valued.q - 1) as by_q,
        valued.v / (
            valued.v + valued.repeat_purchases * coalesce(valued.mean_repeat_amount, 0)
        ) as by_v
    from valued
    inner join scores
        on valued.repeat_purchases = scores.repeat_purchases
            and valued.age_weeks = scores.age_weeks
),

-- The 90th percentile of a normal distribution lies 1.28 standard deviations up.
spread_out as (
    select
        *,
        least(
            1.2815515655446004 * sqrt(
                greatest(
                    {{ clv_variance({'r': 'by_r', 'alpha': 'by_alpha', 'a': 'by_a', 'b': 'by_b'}) }}
                    + {{ clv_variance({'p': 'by_p', 'q': 'by_q', 'v': 'by_v'}) }},
                    0
                )
            ),
            50
        ) as spread
    from predicted
),

final as (
    select
        activity.user_id,
        activity.total_orders,
        {{ safe_divide('activity.total_spent', 'activity.total_orders') }}::{{ amount_type() }}
            as avg_order_value,
        activity.total_spent as historic_value,
        -- avg_order_value x total_orders is total_spent, without the rounding of the average.
        {{ lifetime_value_without_model('activity.total_spent') }} as simple_value,
        spread_out.p_alive,
        spread_out.orders_30d as expected_orders_30d,
        spread_out.orders_90d as expected_orders_90d,
        spread_out.orders_365d as expected_orders_365d,
        {{ predicted_amount('spread_out.order_value') }} as expected_order_value,
        {{ predicted_amount('spread_out.predicted_value') }} as predicted_value,
        {{ predicted_amount('spread_out.predicted_value * exp(-spread_out.spread)') }}
            as predicted_value_p10,
        {{ predicted_amount('spread_out.predicted_value * exp(spread_out.spread)') }}
            as predicted_value_p90,
        spread_out.version as parameters_version,
        case when spread_out.user_id is not null then {{ utc_date(as_of()) }} end as predicted_on,
        case
            when spread_out.user_id is null
                then coalesce(parameters.no_prediction_because, 'the user has not bought yet')
        end as no_prediction_because
    from activity
    cross join parameters
    left join spread_out on activity.user_id = spread_out.user_id
)

select * from final
