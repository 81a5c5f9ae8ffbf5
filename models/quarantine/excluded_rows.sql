with

{% for table_name, key in [
    ('users', 'user_id'),
    ('categories', 'category_id'),
    ('products', 'product_id'),
    ('orders', 'order_id'),
    ('payments', 'payment_id'),
    ('user_sessions', 'session_id'),
    ('events', 'event_id'),
    ('consents', 'consent_id'),
    ('erasure_requests', 'request_id'),
] -%}
{{ table_name }} as (
    select
        '{{ table_name }}' as table_name,
        {{ key }} as row_key,
        exclusion_reason,
        _loaded_at
    from {{ ref('stg_app__' ~ table_name) }}
    where exclusion_reason is not null and not is_deleted
),

{% endfor -%}

placed_orders as (
    select order_id
    from {{ ref('stg_app__orders') }}
    where exclusion_reason is null and not is_deleted
),

items as (
    select * from {{ ref('stg_app__order_items') }}
),

order_items as (
    select
        'order_items' as table_name,
        items.order_item_id as row_key,
        coalesce(items.exclusion_reason, 'no such order') as exclusion_reason,
        items._loaded_at
    from items
    left join placed_orders on items.order_id = placed_orders.order_id
    where not items.is_deleted
        and (items.exclusion_reason is not null or placed_orders.order_id is null)
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
