-- fct_user_events in hand-written SQL: the same rows, partitions and indexes.
drop schema if exists by_hand cascade;
create schema by_hand;

create table by_hand.fct_user_events (
    event_id text,
    user_key text,
    date_key integer,
    time_key integer,
    event_type_key text,
    user_id text,
    session_id text,
    event_type text,
    page_url text,
    referrer_url text,
    properties jsonb,
    event_timestamp timestamptz
) partition by range (event_timestamp);

create table by_hand.fct_user_events_default partition of by_hand.fct_user_events default;

do $$
declare
    first_day date;
begin
    for first_day in
        select generate_series(
            date_trunc('month', min(event_timestamp) at time zone 'UTC'),
            date_trunc('month', max(event_timestamp) at time zone 'UTC') + interval '1 month',
            interval '1 month'
        )
        from raw.events
    loop
        execute format(
            'create table by_hand.%I partition of by_hand.fct_user_events for values from (%L) to (%L)',
            'fct_user_events_' || to_char(first_day, 'YYYY_MM'),
            first_day::text || ' 00:00:00+00',
            (first_day + interval '1 month')::date::text || ' 00:00:00+00'
        );
    end loop;
end
$$;

insert into by_hand.fct_user_events
select
    events.event_id,
    coalesce(users.user_key, 'unknown'),
    to_char(events.event_timestamp at time zone 'UTC', 'YYYYMMDD')::integer,
    to_char(events.event_timestamp at time zone 'UTC', 'HH24MI')::integer,
    coalesce(event_types.event_type_key, 'unknown'),
    events.user_id,
    events.session_id,
    events.event_type,
    events.page_url,
    events.referrer_url,
    events.properties,
    events.event_timestamp
from (
    select
        event_id,
        case when trim(both E' \t\n\x0B\f\r\u00A0' from user_id) != '' then user_id end as user_id,
        case when trim(both E' \t\n\x0B\f\r\u00A0' from session_id) != '' then session_id end
            as session_id,
        lower(nullif(trim(both E' \t\n\x0B\f\r\u00A0' from event_type), '')) as event_type,
        nullif(trim(both E' \t\n\x0B\f\r\u00A0' from page_url), '') as page_url,
        nullif(trim(both E' \t\n\x0B\f\r\u00A0' from referrer_url), '') as referrer_url,
        properties,
        event_timestamp
    from raw.events
    where _deleted_at is null
        and event_timestamp >= '1900-01-01 00:00:00+00'
        and event_timestamp < '2101-01-01 00:00:00+00'
) as events
left join marts.dim_users as users
    on events.user_id = users.user_id
        and events.event_timestamp >= users.effective_date
        and events.event_timestamp < users.expiry_date
left join marts.dim_event_types as event_types on events.event_type = event_types.event_type;

create unique index on by_hand.fct_user_events (event_id, event_timestamp);
create index on by_hand.fct_user_events (user_id, date_key) include (event_timestamp);
create index on by_hand.fct_user_events (user_key, date_key);
create index on by_hand.fct_user_events using brin (event_timestamp);
