{{ config(
    unique_key='user_id',
    indexes=[
        {'columns': ['rfm_segment'], 'why': 'the users of a segment'},
    ],
) }}

{%- do skip_unless_changed() %}

-- Without changed_keys: scores are ranks among all users, so one order can change the scores of inactive users.
with

recent_orders as (
    select * from {{ ref('int_user_recent_orders') }}
),

cells as (
    select * from {{ ref('rfm_segments') }}
),

scored as (
    select
        user_id,
        {{ score_of_five('last_order_date') }} as recency_score,
        {{ score_of_five('frequency') }} as frequency_score,
        {{ score_of_five('monetary') }} as monetary_score
    from recent_orders
    where frequency > 0
),

combined as (
    select
        *,
        round((frequency_score + monetary_score) / 2.0)::int as fm_score
    from scored
),

final as (
    select
        recent_orders.user_id,
        recent_orders.last_order_date,
        recent_orders.frequency,
        recent_orders.monetary,
        combined.recency_score,
        combined.frequency_score,
        combined.monetary_score,
        combined.fm_score,
        case
            when recent_orders.frequency = 0 then 'No Recent Purchase'
            else cells.rfm_segment
        end as rfm_segment
    from recent_orders
    left join combined on recent_orders.user_id = combined.user_id
    left join cells
        on combined.recency_score = cells.recency_score and combined.fm_score = cells.fm_score
)

select * from final
