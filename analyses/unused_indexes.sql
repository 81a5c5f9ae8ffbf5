-- Indexes that no query has used since the statistics were reset, largest first. Unique indexes and
-- exclusion constraints are left out, because they are needed anyway. The parts of a partitioned index
-- count as one.
with

parts as (
    select
        coalesce(pg_partition_root(usage.indexrelid)::oid, usage.indexrelid) as index_id,
        usage.idx_scan,
        usage.last_idx_scan,
        pg_relation_size(usage.indexrelid) as index_bytes
    from pg_stat_user_indexes as usage
    inner join pg_index as details on usage.indexrelid = details.indexrelid
    where not details.indisunique and not details.indisexclusion
),

indexes as (
    select
        index_id,
        sum(idx_scan) as scans,
        max(last_idx_scan) as last_used_at,
        sum(index_bytes) as index_bytes
    from parts
    group by 1
),

started as (
    select stats_reset as statistics_since
    from pg_stat_database
    where datname = current_database()
),

final as (
    select
        details.indrelid::regclass::text as table_name,
        indexes.index_id::regclass::text as index_name,
        obj_description(indexes.index_id, 'pg_class') as declared_for,
        started.statistics_since,
        pg_size_pretty(indexes.index_bytes) as index_size,
        indexes.index_bytes
    from indexes
    inner join pg_index as details on indexes.index_id = details.indexrelid
    cross join started
    where indexes.scans = 0
    order by 6 desc
)

select * from final
