{% macro has_product_at(moment) -%}
    {#- The category of a version can change without a new version, when the category arrives. -#}
    exists (
        select 1
        from {{ ref('dim_products').render() }} as products
        where products.product_id = led.product_id
            and led.{{ moment }} >= products.effective_date
            and led.{{ moment }} < products.expiry_date
            and products.product_key = led.product_key
            and products.category_key = led.category_key
    )
{%- endmacro %}
