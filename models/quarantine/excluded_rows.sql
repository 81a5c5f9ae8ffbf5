with

users as (
    select
        'users' as table_name,
        user_id as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__users') }}
    where exclusion_reason is not null and not is_deleted
),

categories as (
    select
        'categories' as table_name,
        category_id as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__categories') }}
    where exclusion_reason is not null and not is_deleted
),

products as (
    select
        'products' as table_name,
        product_id as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__products') }}
    where exclusion_reason is not null and not is_deleted
),

orders as (
    select
        'orders' as table_name,
        order_id as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__orders') }}
    where exclusion_reason is not null and not is_deleted
),

payments as (
    select
        'payments' as table_name,
        payment_id as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__payments') }}
    where exclusion_reason is not null and not is_deleted
),

user_sessions as (
    select
        'user_sessions' as table_name,
        session_id as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__user_sessions') }}
    where exclusion_reason is not null and not is_deleted
),

events as (
    select
        'events' as table_name,
        event_id as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__events') }}
    where exclusion_reason is not null and not is_deleted
),

consents as (
    select
        'consents' as table_name,
        consent_id as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__consents') }}
    where exclusion_reason is not null and not is_deleted
),

erasure_requests as (
    select
        'erasure_requests' as table_name,
        request_id as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__erasure_requests') }}
    where exclusion_reason is not null and not is_deleted
),

placed_orders as (
    select order_id
    from {{ ref('stg_app__orders') }}
    where exclusion_reason is null and not is_deleted
),

order_lines as (
    select * from {{ ref('stg_app__order_items') }}
),

order_items as (
    select
        'order_items' as table_name,
        order_lines.order_item_id as row_key,
        coalesce(order_lines.exclusion_reason, 'no such order') as exclusion_reason,
        order_lines._loaded_at
    from order_lines
    left join placed_orders on order_lines.order_id = placed_orders.order_id
    where not order_lines.is_deleted
        and (order_lines.exclusion_reason is not null or placed_orders.order_id is null)
),

final as (
    select * from users
    union all
    select * from categories
    union all
    select * from products
    union all
    select * from orders
    union all
    select * from order_items
    union all
    select * from payments
    union all
    select * from user_sessions
    union all
    select * from events
    union all
    select * from consents
    union all
    select * from erasure_requests
)

select * from final
