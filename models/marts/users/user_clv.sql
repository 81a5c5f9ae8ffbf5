{#- Logs no keys: every prediction changes every day, so a model that read them would recompute all users. -#}
{{ config(
    unique_key='user_id',
    meta={'change_log_keys': []},
) }}

{%- set changed_users = changed_keys(
    'user_id', recompute_when='predicted_on < ' ~ local_date(as_of())
) %}

with

activity as (
    select *
    from {{ ref('int_user_activity') }}
    where {{ is_changed(changed_users) }}
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
        -- A build with an earlier clock may find later purchases; the next one repeats the prediction.
        greatest(
            {{ weeks_between('first_purchase_date', local_date(as_of())) }}, recency_weeks
        ) as age_weeks
    from {{ ref('int_user_purchase_history') }}
    where {{ is_changed(changed_users) }} and first_purchase_date is not null
),

-- Most users share their purchase history with others: what depends only on it is computed once.
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
        {{ log_odds_of_having_left() | indent(8) }} as log_odds
    from histories
    cross join trusted_parameters
),

valued as {{ materialized_cte() }} (
    select
        left_or_not.user_id,
        left_or_not.repeat_purchases,
        left_or_not.recency_weeks,
        left_or_not.age_weeks,
        left_or_not.log_odds,
        {{ p_alive('left_or_not.log_odds') | indent(8) }} as p_alive,
        coalesce(left_or_not.mean_repeat_amount, 0)::{{ float_type() }} as mean_repeat_amount
    from left_or_not
),

-- by_r and so on: elasticity of the value by parameter.
predicted as {{ materialized_cte() }} (
    select
        valued.user_id,
        valued.p_alive,
        valued.p_alive * scores.orders_30d as orders_30d,
        valued.p_alive * scores.orders_90d as orders_90d,
        valued.p_alive * scores.orders_365d as orders_365d,
        valued.p_alive * scores.discounted_orders as discounted_orders,
        {{ expected_order_value('valued.repeat_purchases', 'valued.mean_repeat_amount') }}
            as order_value,
        scores.by_r
        - (1 - valued.p_alive) * given.r
        * ln((given.alpha + valued.age_weeks) / (given.alpha + valued.recency_weeks)) as by_r,
        scores.by_alpha
        - (1 - valued.p_alive) * (given.r + valued.repeat_purchases) * given.alpha
        * (
            1 / (given.alpha + valued.age_weeks) - 1 / (given.alpha + valued.recency_weeks)
        ) as by_alpha,
        scores.by_a - (1 - valued.p_alive) as by_a,
        scores.by_b
        + case
            when valued.log_odds is null then 0
            else
                (1 - valued.p_alive) * given.b
                / (given.b + valued.repeat_purchases + given.may_leave_at_once - 1)
        end as by_b,
        1 - given.p * valued.repeat_purchases
        / (given.p * valued.repeat_purchases + given.q - 1) as by_p,
        -given.q / (given.p * valued.repeat_purchases + given.q - 1) as by_q,
        given.v
        / (given.v + valued.repeat_purchases * valued.mean_repeat_amount) as by_v
    from valued
    cross join trusted_parameters as given
    inner join scores
        on valued.repeat_purchases = scores.repeat_purchases
            and valued.age_weeks = scores.age_weeks
),

-- The 90th percentile of a normal distribution lies 1.28 standard deviations up.
spread_out as {{ materialized_cte() }} (
    select
        predicted.*,
        trusted_parameters.version,
        predicted.order_value * predicted.discounted_orders as predicted_value,
        exp(
            least(
                1.2815515655446004 * sqrt(
                    greatest(
                        {{ clv_variance(['r', 'alpha', 'a', 'b']) }}
                        + {{ clv_variance(['p', 'q', 'v']) }},
                        0
                    )
                ),
                50
            )
        ) as spread
    from predicted
    cross join trusted_parameters
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
        {{ predicted_amount('spread_out.predicted_value / spread_out.spread') }}
            as predicted_value_p10,
        {{ predicted_amount('spread_out.predicted_value * spread_out.spread') }}
            as predicted_value_p90,
        spread_out.version as parameters_version,
        case when spread_out.user_id is not null then {{ local_date(as_of()) }} end as predicted_on,
        case
            when spread_out.user_id is null
                then coalesce(parameters.no_prediction_because, 'the user has not bought yet')
        end as no_prediction_because
    from activity
    cross join parameters
    left join spread_out on activity.user_id = spread_out.user_id
)

select * from final
