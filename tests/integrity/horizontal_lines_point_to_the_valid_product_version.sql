-- product_key is a version of the line's product that was valid then; it is the unknown member only if the product is unknown.
{%- set lines_to_test = keys_to_test('order_id', [ref('fct_order_items')]) %}
{%- set products_to_test = keys_to_test('product_id', [ref('dim_products')]) %}

with

items as (
    select * from {{ ref('fct_order_items') }}
    where {{ is_to_test(lines_to_test) }} or {{ is_to_test(products_to_test) }}
),

versions as (
    select * from {{ ref('dim_products') }}
),

known_products as (
    select distinct product_id
    from versions
    where product_key != {{ unknown_key() }}
),

final as (
    select items.*
    from items
    left join versions on items.product_key = versions.product_key
    left join known_products
        on items.product_id = known_products.product_id
            and items.product_key = {{ unknown_key() }}
    where known_products.product_id is not null
        or (
            items.product_key is distinct from {{ unknown_key() }}
            and (
                versions.product_id is distinct from items.product_id
                or (items.ordered_at >= versions.effective_date) is not true
                or (items.ordered_at < versions.expiry_date) is not true
            )
        )
)

select * from final
