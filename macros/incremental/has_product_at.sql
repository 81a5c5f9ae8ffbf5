{% macro has_product_at(moment) -%}
    {#- The category of a version can change without a new version, when the category arrives. -#}
    exists (
        select 1
        from {{ ref('dim_products').render() }} as products
        where products.product_id = looked_up.product_id
            and looked_up.{{ moment }} >= products.effective_date
            and looked_up.{{ moment }} < products.expiry_date
            and products.product_key = looked_up.product_key
            and products.category_key = looked_up.category_key
    )
{%- endmacro %}
