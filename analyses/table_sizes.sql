-- Size of the tables and their indexes, largest first. Partitions count as their table.
with

parts as (
    select
        coalesce(pg_partition_root(oid)::oid, oid) as table_id,
        greatest(reltuples, 0) as estimated_rows,
        pg_table_size(oid) as table_bytes,
        pg_indexes_size(oid) as index_bytes
    from pg_class
    where relkind in ('r', 'm')
        and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')
        and relpersistence = 'p'
),

tables as (
    select
        table_id,
        count(*) as parts,
        sum(estimated_rows)::bigint as estimated_rows,
        sum(table_bytes) as table_bytes,
        sum(index_bytes) as index_bytes
    from parts
    group by 1
),

final as (
    select
        table_id::regclass::text as table_name,
        parts,
        estimated_rows,
        pg_size_pretty(table_bytes) as table_size,
        pg_size_pretty(index_bytes) as index_size,
        pg_size_pretty(table_bytes + index_bytes) as total_size,
        table_bytes + index_bytes as total_bytes
    from tables
    order by 7 desc
)

select * from final
