-- Every staged row that is not deleted is either in its mart or in quarantine.excluded_rows.
-- Staging shows what was loaded since; a build of a part of the facts cannot be compared with it.
-- Dimensions keep users and products whose raw row no longer exists; only staged ones are counted.
with

staged_users as (
    select * from {{ ref('stg_app__users') }}
    where not is_deleted
),

staged_products as (
    select * from {{ ref('stg_app__products') }}
    where not is_deleted
),

current_users as (
    select * from {{ ref('dim_users') }}
    where is_current and not is_deleted
),

current_products as (
    select * from {{ ref('dim_products') }}
    where is_current and not is_deleted
),

staged as (
    select
        'users' as table_name,
        count(*) as staged_rows
    from staged_users
    union all
    select
        'products' as table_name,
        count(*) as staged_rows
    from staged_products
    union all
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
        'users' as table_name,
        count(*) as taken_rows
    from current_users
    inner join staged_users on current_users.user_id = staged_users.user_id
    union all
    select
        'products' as table_name,
        count(*) as taken_rows
    from current_products
    inner join staged_products on current_products.product_id = staged_products.product_id
    -- An excluded update leaves the version before it.
    where staged_products.exclusion_reason is null
    union all
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
    left join taken on staged.table_name = taken.table_name
    left join excluded on staged.table_name = excluded.table_name
    where staged.staged_rows is distinct from taken.taken_rows + coalesce(excluded.excluded_rows, 0)
        and {{ were_built_together() }}
)

select * from final
