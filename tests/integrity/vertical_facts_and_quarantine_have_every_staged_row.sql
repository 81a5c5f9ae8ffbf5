-- Every living staged row is in its mart or in quarantine.excluded_rows, and in one of them only.
with

staged as (
    select
        'categories' as table_name,
        count(*) as staged_rows
    from {{ ref('stg_app__categories') }}
    where not is_deleted
    union all
    select
        'orders' as table_name,
        count(*) as staged_rows
    from {{ ref('stg_app__orders') }}
    where not is_deleted
    union all
    select
        'order_items' as table_name,
        count(*) as staged_rows
    from {{ ref('stg_app__order_items') }}
    where not is_deleted
    union all
    select
        'payments' as table_name,
        count(*) as staged_rows
    from {{ ref('stg_app__payments') }}
    where not is_deleted
    union all
    select
        'user_sessions' as table_name,
        count(*) as staged_rows
    from {{ ref('stg_app__user_sessions') }}
    where not is_deleted
    union all
    select
        'events' as table_name,
        count(*) as staged_rows
    from {{ ref('stg_app__events') }}
    where not is_deleted
        and (
            exclusion_reason is not null
            or {{ is_retained('event_timestamp', 'fct_user_events') }}
        )
),

taken as (
    select
        'categories' as table_name,
        count(*) as taken_rows
    from {{ ref('dim_categories') }}
    where category_key != {{ unknown_key() }}
    union all
    select
        'orders' as table_name,
        count(*) as taken_rows
    from {{ ref('fct_orders') }}
    union all
    select
        'order_items' as table_name,
        count(*) as taken_rows
    from {{ ref('fct_order_items') }}
    union all
    select
        'payments' as table_name,
        count(*) as taken_rows
    from {{ ref('fct_payments') }}
    union all
    select
        'user_sessions' as table_name,
        count(*) as taken_rows
    from {{ ref('fct_user_sessions') }}
    union all
    select
        'events' as table_name,
        count(*) as taken_rows
    from {{ ref('fct_user_events') }}
),

excluded as (
    select
        table_name,
        count(*) as excluded_rows
    from {{ ref('excluded_rows') }}
    group by 1
),

final as (
    select
        staged.table_name,
        staged.staged_rows,
        taken.taken_rows,
        coalesce(excluded.excluded_rows, 0) as excluded_rows
    from staged
    inner join taken on staged.table_name = taken.table_name
    left join excluded on staged.table_name = excluded.table_name
    where staged.staged_rows != taken.taken_rows + coalesce(excluded.excluded_rows, 0)
)

select * from final
