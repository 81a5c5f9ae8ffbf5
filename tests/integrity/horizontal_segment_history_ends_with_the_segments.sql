-- After a build as of the present, the last states in the history are the current segments, and (none) for deleted users.
with

build as (
    select
        max(as_of) as as_of,
        max({{ local_date('advanced_at') }}) as built_on
    from {{ state_relation('watermarks') }}
    where model_name = 'user_segments'
),

history as (
    select max(as_of) as as_of
    from {{ ref('snp_user_segments') }}
),

last_states as (
    select *
    from {{ ref('snp_user_segments') }}
    where dbt_valid_to = {{ end_of_time() }} and user_segment != '(none)'
),

user_segments as (
    select * from {{ ref('user_segments') }}
),

final as (
    select
        user_segments.user_id,
        last_states.user_id as user_id_of_history
    from user_segments
    full outer join last_states on user_segments.user_id = last_states.user_id
    cross join build
    cross join history
    -- Null if the history is empty or the model has no watermark.
    where (build.as_of >= history.as_of) is not false
        and ({{ local_date('build.as_of') }} <= build.built_on) is not false
        -- Users who sign up later have no history yet.
        and (user_segments.signup_date > {{ local_date('build.as_of') }}) is not true
        and (
            user_segments.user_segment is distinct from last_states.user_segment
            or user_segments.rfm_segment is distinct from last_states.rfm_segment
        )
)

select * from final
