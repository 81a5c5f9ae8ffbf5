-- Builds create the months that their events need, so no row should be here. A file of size 0 has never held a row.
{{ config(severity='warn') }}

with

final as (
    select pg_class.oid::regclass as partition_name
    from pg_inherits
    inner join pg_class on pg_inherits.inhrelid = pg_class.oid
    where pg_inherits.inhparent = '{{ ref("fct_user_events").render() }}'::regclass
        and pg_get_expr(pg_class.relpartbound, pg_class.oid) = 'DEFAULT'
        and pg_relation_size(pg_class.oid) > 0
)

select * from final
