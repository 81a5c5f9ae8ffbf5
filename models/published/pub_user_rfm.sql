{{ config(alias='next_user_rfm', unique_key='user_id') }}

select
    user_id,
    last_order_date,
    frequency,
    monetary,
    recency_score,
    frequency_score,
    monetary_score,
    fm_score,
    rfm_segment
from {{ ref('user_rfm') }}
