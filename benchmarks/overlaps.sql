-- Measures the cost of the exclusion constraint of dim_users: 200,000 users with two versions each.
-- Run it in an empty scratch database: psql -f benchmarks/overlaps.sql
\timing on
create extension if not exists btree_gist;

create temporary table versions as
select
    md5(n || '-' || version) as user_key,
    n::text as user_id,
    timestamptz '2024-01-01 00:00:00+00' + version * interval '10 days' as effective_date,
    timestamptz '2024-01-11 00:00:00+00' + version * interval '10 days' as expiry_date
from generate_series(1, 200000) as n
cross join generate_series(0, 1) as version;

\echo a unique index, for comparison
create unique index on versions (user_id, effective_date);

\echo the constraint, as a full refresh creates it
alter table versions add constraint no_overlaps
exclude using gist ((user_id || '') with =, tstzrange(effective_date, expiry_date) with &&);
select
    pg_size_pretty(pg_relation_size('no_overlaps')) as index_size,
    pg_size_pretty(pg_table_size('versions')) as table_size;

\echo 10,000 more versions, with and without the constraint
insert into versions
select user_key || '-', 'new ' || user_id, effective_date, expiry_date from versions limit 10000;
alter table versions drop constraint no_overlaps;
insert into versions
select user_key || '+', 'newer ' || user_id, effective_date, expiry_date from versions limit 10000;
