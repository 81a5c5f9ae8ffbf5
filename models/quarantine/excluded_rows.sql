{%- set keys = {
    'users': 'user_id',
    'categories': 'category_id',
    'products': 'product_id',
    'orders': 'order_id',
    'payments': 'payment_id',
    'user_sessions': 'session_id',
    'events': 'event_id',
    'consents': 'consent_id',
    'erasure_requests': 'request_id',
    'exchange_rates': 'exchange_rate_id',
} %}

with

{% for table_name, key in keys.items() %}
    {{ table_name }} as (
        select
            '{{ table_name }}' as table_name,
            {{ key }} as row_key,
            exclusion_reason,
            _loaded_at
        from {{ ref('stg_app__' ~ table_name) }}
        where exclusion_reason is not null and not is_deleted
    ),
{% endfor %}

all_orders as (
    select * from {{ ref('stg_app__orders') }}
),

order_lines as (
    select * from {{ ref('stg_app__order_items') }}
),

-- A line without a reason of its own is excluded too if its order is not included.
order_items as (
    select
        'order_items' as table_name,
        order_lines.order_item_id as row_key,
        case
            when order_lines.exclusion_reason is not null then order_lines.exclusion_reason
            when all_orders.order_id is null then 'no such order'
            when all_orders.is_deleted then 'its order is deleted'
            else 'its order is excluded'
        end as exclusion_reason,
        order_lines._loaded_at
    from order_lines
    left join all_orders on order_lines.order_id = all_orders.order_id
    where not order_lines.is_deleted
        and (order_lines.exclusion_reason is not null or all_orders.is_included is not true)
),

final as (
    {%- for table_name in keys %}
        select * from {{ table_name }}
        union all
    {%- endfor %}
    select * from order_items
)

select * from final
