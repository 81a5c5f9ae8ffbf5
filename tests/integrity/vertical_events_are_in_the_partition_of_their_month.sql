-- Each partition is named after the month whose events PostgreSQL lets into it, from its first moment in UTC to the next month's.
-- render() omits the subquery that dbt wraps around refs under --empty: only a relation has partitions.
with

partitions as (
    select
        child.oid::regclass::text as partition_name,
        regexp_match(
            pg_get_expr(child.relpartbound, child.oid), $$FROM \('(.*)'\) TO \('(.*)'\)$$
        ) as bounds
    from pg_inherits
    inner join pg_class as child on pg_inherits.inhrelid = child.oid
    where pg_inherits.inhparent = '{{ ref("fct_user_events").render() }}'::regclass
        and pg_get_expr(child.relpartbound, child.oid) != 'DEFAULT'
),

months as (
    select
        partition_name,
        bounds[1]::timestamptz at time zone 'UTC' as first_moment,
        bounds[2]::timestamptz at time zone 'UTC' as end_moment
    from partitions
),

final as (
    select * from months
    where (
        first_moment = date_trunc('month', first_moment)
        and end_moment = first_moment + interval '1 month'
        and strpos(partition_name, to_char(first_moment, '"fct_user_events_"YYYY_MM"_"')) > 0
    ) is not true
)

select * from final
