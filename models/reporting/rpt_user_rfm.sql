{{ config(alias='user_rfm') }}

with

user_rfm as (
    select * from {{ published(ref('pub_user_rfm')) }}
),

final as (
    select
        user_id,
        last_order_date,
        {{ days_between('last_order_date', local_today()) }} as recency_days,
        frequency,
        monetary,
        recency_score,
        frequency_score,
        monetary_score,
        fm_score,
        rfm_segment
    from user_rfm
)

select * from final
