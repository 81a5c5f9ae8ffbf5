{{ config(
    unique_key=['cohort_month', 'months_since'],
) }}

{%- do skip_unless_changed(also_each='month') %}

-- Without changed_keys: on most days nearly every cohort has an active user, and each month adds a row to every cohort.
with

user_months as (
    select * from {{ ref('int_user_months') }}
),

dates as (
    select * from {{ ref('dim_date') }}
),

activity as (
    select
        cohort_month,
        activity_month,
        count(*) filter (where has_signed_up) as new_users,
        count(*) filter (where active_days > 0) as active_users,
        sum(orders) as orders,
        sum(revenue) as revenue
    from user_months
    group by 1, 2
),

cohorts as (
    select
        cohort_month,
        sum(new_users)::bigint as users
    from activity
    where new_users > 0
    group by 1
),

months as (
    select date_day as activity_month
    from dates
    where date_day = month_start_date and date_day <= {{ local_date(as_of()) }}
),

final as (
    select
        cohorts.cohort_month,
        {{ months_between('cohorts.cohort_month', 'months.activity_month') }} as months_since,
        months.activity_month,
        cohorts.users,
        coalesce(activity.active_users, 0) as active_users,
        {{ safe_divide(
            'activity.active_users::numeric', 'cohorts.users', digits=4
        ) }}::{{ amount_type() }} as retention_rate,
        coalesce(activity.orders, 0)::bigint as orders,
        coalesce(activity.revenue, 0)::{{ amount_type() }} as revenue
    from cohorts
    inner join months on cohorts.cohort_month <= months.activity_month
    left join activity
        on cohorts.cohort_month = activity.cohort_month
            and months.activity_month = activity.activity_month
)

select * from final
