{{ config(
    enabled=var('stitch_sessions'),
    unique_key='session_id',
    indexes=[
        {'columns': ['visitor_id'], 'why': 'the other sessions of the visitors that changed'},
    ],
) }}

{%- set changed_sessions = changed_keys('session_id') %}
{%- set changed_sessions = with_siblings(
    changed_sessions, ref('stg_app__user_sessions'), 'visitor_id'
) %}

with

sessions as (
    select
        session_id,
        visitor_id,
        user_id as session_user_id
    from {{ ref('stg_app__user_sessions') }}
    where {{ is_changed(changed_sessions) }} and is_included
),

-- All sessions of a visitor are in sessions, because they are recomputed together.
visitors as (
    select
        visitor_id,
        min(session_user_id) as visitor_user_id
    from sessions
    group by 1
    having min(session_user_id) = max(session_user_id)
),

final as (
    select
        sessions.session_id,
        sessions.visitor_id,
        sessions.session_user_id,
        coalesce(sessions.session_user_id, visitors.visitor_user_id) as user_id
    from sessions
    left join visitors on sessions.visitor_id = visitors.visitor_id
)

select * from final
