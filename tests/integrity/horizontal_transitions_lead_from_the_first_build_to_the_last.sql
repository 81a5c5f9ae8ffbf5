-- Per segment: users at the first build, plus transitions in, minus transitions out, is the users at the last build.
with

build as (
    select max(as_of) as as_of
    from {{ state_relation('watermarks') }}
    where model_name = 'user_segments'
),

history as (
    select * from {{ ref('snp_user_segments') }}
),

states as (
    select
        history.*,
        min(history.as_of) over () as first_as_of
    from history
    inner join build on history.as_of <= build.as_of
),

numbered as (
    select
        *,
        row_number() over (partition by user_id order by dbt_valid_from desc) as number_from_last,
        row_number() over (
            partition by user_id, as_of = first_as_of
            order by dbt_valid_from desc
        ) as number_in_build
    from states
),

changes as (
    select
        'business' as segmentation,
        user_segment as segment,
        1 as users
    from numbered
    where number_from_last = 1
    union all
    select
        'rfm' as segmentation,
        rfm_segment as segment,
        1 as users
    from numbered
    where number_from_last = 1
    union all
    select
        'business' as segmentation,
        user_segment as segment,
        -1 as users
    from numbered
    where as_of = first_as_of and number_in_build = 1
    union all
    select
        'rfm' as segmentation,
        rfm_segment as segment,
        -1 as users
    from numbered
    where as_of = first_as_of and number_in_build = 1
    union all
    select
        segmentation,
        to_segment as segment,
        -users as users
    from {{ ref('segment_transitions') }}
    union all
    select
        segmentation,
        from_segment as segment,
        users
    from {{ ref('segment_transitions') }}
),

final as (
    select
        segmentation,
        segment,
        sum(users) as users_missing
    from changes
    where segment is distinct from '(none)'
    group by 1, 2
    having sum(users) != 0
)

select * from final
