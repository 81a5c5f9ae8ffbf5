-- The statements with the most total time. Requires the extension pg_stat_statements; if it is missing
-- at compile time, the query returns one row that says how to install it.
with

statements as (
    select * from {{ statement_statistics() }}
),

final as (
    select
        calls,
        round(total_exec_time::numeric / 1000, 1) as total_seconds,
        round(mean_exec_time::numeric, 1) as mean_milliseconds,
        rows as returned_rows,
        shared_blks_hit + shared_blks_read as blocks,
        left(regexp_replace(query, '\s+', ' ', 'g'), 500) as statement
    from statements
    order by 2 desc nulls last
    limit 50
)

select * from final
