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
        _loaded_at,
        _deleted_at
    from read_parquet('{{ var("files") }}/events/*.parquet')
    {%- if is_incremental() %}
    where _loaded_at > (select max(_loaded_at) from {{ this }})
    {%- endif %}
    -- An event that was sent again is in two files.
    qualify row_number() over (partition by event_id order by _loaded_at desc) = 1
)

select
    events.event_id,
    coalesce(users.user_key, 'unknown') as user_key,
    strftime(events.event_timestamp at time zone 'UTC', '%Y%m%d')::integer as date_key,
    strftime(events.event_timestamp at time zone 'UTC', '%H%M')::integer as time_key,
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
left join read_parquet('{{ var("files") }}/dim_users.parquet') as users
    on events.user_id = users.user_id
        and events.event_timestamp >= users.effective_date
        and events.event_timestamp < users.expiry_date
left join read_parquet('{{ var("files") }}/dim_event_types.parquet') as event_types
    on events.event_type = event_types.event_type
where events._deleted_at is null
