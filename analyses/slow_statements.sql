-- The statements that took the server the most time. It needs the extension pg_stat_statements;
-- compiled where that is not there, its one row says how to get it.
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
