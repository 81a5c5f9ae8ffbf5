-- Each living user who signed up by as_of is in one cohort, whose rows hold the revenue since the sign-up month.
{%- set days_to_test = keys_to_test('date_key', [ref('user_daily_metrics')]) %}
{#- The sizes of all cohorts are compared each time. #}
{%- set cohorts_to_test = keys_to_test(
    ['cohort_month', 'months_since'], [ref('cohort_retention')],
    ignoring=[ref('int_user_activity'), ref('dim_date')]
) %}
{%- set month = date_key('expected.activity_month') ~ ' / 100' %}
{%- set month_of_cohort = date_key(add_months('cohort_month', 'months_since')) ~ ' / 100' %}

with

build as (
    select {{ local_date('max(as_of)') }} as as_of
    from {{ state_relation('watermarks') }}
    where model_name = 'int_user_months'
),

activity as (
    select * from {{ ref('int_user_activity') }}
),

metrics as (
    select * from {{ ref('user_daily_metrics') }}
    where {{ is_to_test(days_to_test, 'date_key / 100', key='date_key / 100') }}
        or {{ is_to_test(cohorts_to_test, 'date_key / 100', key=month_of_cohort) }}
),

dates as (
    select * from {{ ref('dim_date') }}
),

users as (
    select
        activity.user_id,
        {{ first_day_of('month', local_date('activity.signed_up_at')) }} as cohort_month
    from activity
    inner join build on {{ local_date('activity.signed_up_at') }} <= build.as_of
),

sales as (
    select
        users.cohort_month,
        {{ first_day_of('month', 'metrics.metric_date') }} as activity_month,
        count(distinct metrics.user_id) filter (where metrics.is_active) as active_users,
        sum(metrics.revenue) as revenue
    from metrics
    inner join users
        on metrics.user_id = users.user_id
            and metrics.metric_date >= users.cohort_month
    inner join build on metrics.metric_date <= build.as_of
    group by 1, 2
),

sizes as (
    select
        cohort_month,
        count(*) as users
    from users
    group by 1
),

expected as (
    select
        sizes.cohort_month,
        dates.date_day as activity_month,
        sizes.users,
        coalesce(sales.active_users, 0) as active_users,
        coalesce(sales.revenue, 0) as revenue
    from sizes
    inner join dates on sizes.cohort_month <= dates.date_day
    inner join build on dates.date_day <= build.as_of
    left join sales
        on sizes.cohort_month = sales.cohort_month
            and dates.date_day = sales.activity_month
    where dates.day_of_month = 1
),

held as (
    select * from {{ ref('cohort_retention') }}
),

final as (
    select
        coalesce(held.cohort_month, expected.cohort_month) as cohort_month,
        coalesce(held.activity_month, expected.activity_month) as activity_month
    from held
    full outer join expected
        on held.cohort_month = expected.cohort_month
            and held.activity_month = expected.activity_month
    where held.users is distinct from expected.users
        or (
            (
                {{ is_to_test(days_to_test, month, key='date_key / 100') }}
                or {{ is_to_test(cohorts_to_test, month, key=month_of_cohort) }}
            )
            and (
                held.active_users is distinct from expected.active_users
                or held.revenue is distinct from expected.revenue
            )
        )
)

select * from final
