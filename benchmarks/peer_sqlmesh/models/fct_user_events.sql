MODEL (
  name peer.fct_user_events,
  kind INCREMENTAL_BY_UNIQUE_KEY (
    unique_key event_id
  ),
  cron '@daily'
);

select
    events.event_id::text as event_id,
    coalesce(users.user_key, 'unknown')::text as user_key,
    to_char(events.event_timestamp at time zone 'UTC', 'YYYYMMDD')::integer as date_key,
    to_char(events.event_timestamp at time zone 'UTC', 'HH24MI')::integer as time_key,
    coalesce(event_types.event_type_key, 'unknown')::text as event_type_key,
    events.user_id::text as user_id,
    events.session_id::text as session_id,
    events.event_type::text as event_type,
    events.page_url::text as page_url,
    events.referrer_url::text as referrer_url,
    events.properties::jsonb as properties,
    events.event_timestamp::timestamptz as event_timestamp
from (
    select
        event_id,
        nullif(trim(user_id), '') as user_id,
        nullif(trim(session_id), '') as session_id,
        lower(nullif(trim(event_type), '')) as event_type,
        nullif(trim(page_url), '') as page_url,
        nullif(trim(referrer_url), '') as referrer_url,
        properties,
        event_timestamp
    from raw.events
    where _deleted_at is null and _loaded_at between @start_ts and @end_ts
) as events
left join marts.dim_users as users
    on events.user_id = users.user_id
        and events.event_timestamp >= users.effective_date
        and events.event_timestamp < users.expiry_date
left join marts.dim_event_types as event_types on events.event_type = event_types.event_type;

@IF(
  @runtime_stage = 'evaluating',
  create unique index if not exists fct_user_events_event_id on @this_model using btree (event_id)
);
