{{ config(
    unique_key=['transition_month', 'segmentation', 'from_segment', 'to_segment'],
) }}

-- Without changed_keys: the snapshot that it reads is compared as a whole, and an earlier as_of removes months.
with

states as (
    select * from {{ ref('snp_user_segments') }}
    where as_of <= {{ as_of() }}
),

first_build as (
    select min(as_of) as as_of
    from states
),

-- All others are still in the segments that the first build found.
moved_users as (
    select distinct states.user_id
    from states
    inner join first_build on states.as_of > first_build.as_of
),

-- The states that the first build found are the starting point, not transitions of that month.
dated as (
    select
        states.*,
        case
            when states.as_of > first_build.as_of
                then {{ first_day_of('month', local_date('states.as_of')) }}
        end as transition_month,
        coalesce(
            states.total_spent,
            lag(states.total_spent) over (
                partition by states.user_id
                order by states.dbt_valid_from
            ),
            0
        ) as amount_spent
    from states
    inner join moved_users on states.user_id = moved_users.user_id
    cross join first_build
),

numbered as (
    select
        *,
        row_number() over (
            partition by user_id, transition_month
            order by dbt_valid_from desc
        ) as number_from_last
    from dated
),

months as (
    select
        user_id,
        transition_month,
        user_segment,
        rfm_segment,
        amount_spent,
        lag(user_segment) over user_months as from_user_segment,
        lag(rfm_segment) over user_months as from_rfm_segment
    from numbered
    where number_from_last = 1
    window user_months as (partition by user_id order by transition_month nulls first)
),

moves as (
    select
        transition_month,
        'business' as segmentation,
        coalesce(from_user_segment, '(none)') as from_segment,
        user_segment as to_segment,
        amount_spent
    from months
    union all
    select
        transition_month,
        'rfm' as segmentation,
        coalesce(from_rfm_segment, '(none)') as from_segment,
        rfm_segment as to_segment,
        amount_spent
    from months
),

final as (
    select
        transition_month,
        segmentation,
        from_segment,
        to_segment,
        count(*) as users,
        sum(amount_spent)::{{ amount_type() }} as value
    from moves
    where transition_month is not null and from_segment != to_segment
    group by 1, 2, 3, 4
)

select * from final
