-- Each living user who signed up by as_of is in one cohort, whose rows hold the revenue since the sign-up month. Users' months are
-- compared with their days, and all cohorts with the users and their months.
{%- set users_to_test = keys_to_test(
    'user_id', [ref('user_daily_metrics'), ref('int_user_months')],
    ignoring=[ref('int_user_activity'), ref('cohort_retention'), ref('dim_date')], with_nulls=false
) %}

with

build as (
    select {{ local_date('max(as_of)') }} as as_of
    from {{ state_relation('watermarks') }}
    where model_name = 'int_user_months'
),

users as (
    select
        user_id,
        {{ local_date('signed_up_at') }} as signed_up_on
    from {{ ref('int_user_activity') }}
),

cohorts as (
    select
        users.user_id,
        {{ first_day_of('month', 'users.signed_up_on') }} as cohort_month
    from users
    inner join build on users.signed_up_on <= build.as_of
),

metrics as (
    select * from {{ ref('user_daily_metrics') }}
    where {{ is_to_test(users_to_test) }}
),

days as (
    select
        metrics.user_id,
        {{ first_day_of('month', 'metrics.metric_date') }} as activity_month,
        count(*) filter (where metrics.is_active) as active_days,
        sum(metrics.revenue) as revenue
    from metrics
    inner join build on metrics.metric_date <= build.as_of
    group by 1, 2
),

months as (
    select * from {{ ref('int_user_months') }}
),

months_to_test as (
    select * from months
    where {{ is_to_test(users_to_test) }}
),

differing_months as (
    select
        cohorts.cohort_month,
        coalesce(days.activity_month, months.activity_month) as activity_month
    from days
    full outer join months_to_test as months
        on days.user_id = months.user_id and days.activity_month = months.activity_month
    inner join cohorts on coalesce(days.user_id, months.user_id) = cohorts.user_id
    where coalesce(days.active_days, 0) != coalesce(months.active_days, 0)
        or coalesce(days.revenue, 0) != coalesce(months.revenue, 0)
        or months.cohort_month is distinct from cohorts.cohort_month
),

sizes as (
    select
        cohort_month,
        count(*) as users
    from cohorts
    group by 1
),

activity as (
    select
        cohort_month,
        activity_month,
        count(*) filter (where active_days > 0) as active_users,
        sum(revenue) as revenue
    from months
    group by 1, 2
),

first_days as (
    select date_day from {{ ref('dim_date') }}
    where day_of_month = 1
),

expected as (
    select
        sizes.cohort_month,
        first_days.date_day as activity_month,
        sizes.users,
        coalesce(activity.active_users, 0) as active_users,
        coalesce(activity.revenue, 0) as revenue
    from sizes
    inner join first_days on sizes.cohort_month <= first_days.date_day
    inner join build on first_days.date_day <= build.as_of
    left join activity
        on sizes.cohort_month = activity.cohort_month
            and first_days.date_day = activity.activity_month
),

held as (
    select * from {{ ref('cohort_retention') }}
),

final as (
    select
        cohort_month,
        activity_month
    from differing_months
    union
    select
        coalesce(held.cohort_month, expected.cohort_month) as cohort_month,
        coalesce(held.activity_month, expected.activity_month) as activity_month
    from held
    full outer join expected
        on held.cohort_month = expected.cohort_month
            and held.activity_month = expected.activity_month
    where held.users is distinct from expected.users
        or held.active_users is distinct from expected.active_users
        or held.revenue is distinct from expected.revenue
)

select * from final
