-- Builds create the months that their events need, so no row should be here. A file of size 0 has never held a row.
-- render() omits the subquery that dbt wraps around sources under --empty: it has an alias of its own.
{{ config(severity='warn') }}

with

final as (
    select bounds.partition as partition_name
    from {{ source('observability', 'partition_bounds').render() }} as bounds
    where bounds.parent = '{{ ref("fct_user_events").render() }}'::regclass
        and bounds.is_default
        and pg_relation_size(bounds.partition) > 0
)

select * from final
