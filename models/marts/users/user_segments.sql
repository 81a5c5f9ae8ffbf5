{{ config(
    unique_key='user_id',
    indexes=[
        {'columns': ['segment_changes_at'], 'why': 'users who are due by the clock'},
    ],
) }}

{%- set changed_users = changed_keys(
    'user_id', recompute_when='segment_changes_at <= ' ~ as_of()
) %}

with

activity as (
    select
        *,
        {{ local_date('signed_up_at') }} as signup_date,
        {{ local_date('last_activity_at') }} as last_activity_date
    from {{ ref('int_user_activity') }}
    where {{ is_changed(changed_users) }}
),

rfm as (
    select *
    from {{ ref('user_rfm') }}
    where {{ is_changed(changed_users) }}
),

thresholds as (
    select
        max(threshold_value) filter (where threshold_name = 'high_value_min_spent')
            as high_value_min_spent,
        max(threshold_value) filter (where threshold_name = 'new_max_days_since_signup')::int
            as new_max_days_since_signup,
        max(threshold_value) filter (where threshold_name = 'at_risk_min_days_inactive')::int
            as at_risk_min_days_inactive
    from {{ ref('segment_thresholds') }}
),

segmented as (
    select
        activity.*,
        thresholds.new_max_days_since_signup,
        thresholds.at_risk_min_days_inactive,
        case
            when activity.total_spent > thresholds.high_value_min_spent then 'High Value'
            when
                {{ days_between('activity.signup_date', local_date(as_of())) }}
                < thresholds.new_max_days_since_signup
                then 'New'
            when
                {{ days_between('activity.last_activity_date', local_date(as_of())) }}
                > thresholds.at_risk_min_days_inactive
                then 'At Risk'
            else 'Regular'
        end as user_segment
    from activity
    cross join thresholds
),

final as (
    select
        segmented.user_id,
        segmented.user_segment,
        segmented.total_spent,
        segmented.signup_date,
        segmented.last_activity_date,
        rfm.recency_score,
        rfm.frequency_score,
        rfm.monetary_score,
        coalesce(rfm.rfm_segment, 'No Recent Purchase') as rfm_segment,
        -- When the calendar alone changes the segment; a purchase or visit of the user changes the row anyway.
        case segmented.user_segment
            when 'New'
                then
                    {{ start_of_day(
                        add_days('segmented.signup_date', 'segmented.new_max_days_since_signup')
                    ) }}
            when 'Regular'
                then
                    {{ start_of_day(add_days(
                        'segmented.last_activity_date', 'segmented.at_risk_min_days_inactive + 1'
                    )) }}
        end as segment_changes_at
    from segmented
    left join rfm on segmented.user_id = rfm.user_id
)

select * from final
