{% macro events_since_the_last_run() -%}
with

events as (
    select
        event_id,
        nullif(trim(user_id), '') as user_id,
        nullif(trim(session_id), '') as session_id,
        lower(nullif(trim(event_type), '')) as event_type,
        nullif(trim(page_url), '') as page_url,
        nullif(trim(referrer_url), '') as referrer_url,
        properties,
        event_timestamp,
        _loaded_at
    from {{ source('raw', 'events') }}
    where _deleted_at is null
    {%- if is_incremental() %}
        and _loaded_at > (select max(_loaded_at) from {{ this }})
    {%- endif %}
)

select
    events.event_id,
    coalesce(users.user_key, 'unknown') as user_key,
    to_char(events.event_timestamp at time zone 'UTC', 'YYYYMMDD')::integer as date_key,
    to_char(events.event_timestamp at time zone 'UTC', 'HH24MI')::integer as time_key,
    coalesce(event_types.event_type_key, 'unknown') as event_type_key,
    events.user_id,
    events.session_id,
    events.event_type,
    events.page_url,
    events.referrer_url,
    events.properties,
    events.event_timestamp,
    events._loaded_at
from events
left join {{ source('marts', 'dim_users') }} as users
    on events.user_id = users.user_id
        and events.event_timestamp >= users.effective_date
        and events.event_timestamp < users.expiry_date
left join {{ source('marts', 'dim_event_types') }} as event_types
    on events.event_type = event_types.event_type
{%- endmacro %}
