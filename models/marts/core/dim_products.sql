{{ config(
    unique_key='product_key',
    indexes=[
        {
            'columns': ['product_id', 'effective_date'], 'unique': true,
            'why': 'the version of a product at a moment',
        },
        {
            'name': 'dim_products_current',
            'columns': ['product_id'],
            'unique': true,
            'where': 'is_current',
            'why': 'one current version of each product',
        },
        {
            'name': 'dim_products_search',
            'expression': "to_tsvector('simple', coalesce(product_name, ''))",
            'type': 'gin',
            'why': 'products by words of their name',
        },
    ],
    no_overlaps={'key': 'product_id', 'valid_from': 'effective_date', 'valid_to': 'expiry_date'},
    meta={'change_log_keys': ['product_id']},
) }}

{%- set changed_products = changed_keys('product_id', [
    upstream(ref('dim_categories'), columns='category_id', lookup=this),
]) %}

with

states as (
    select *
    from {{ ref('snp_app__products') }}
    where {{ is_changed(changed_products) }} and exclusion_reason is null
),

dated as (
    {{ valid_intervals('states', 'product_id', attributes=[
        'category_id',
        'product_name',
        'description',
        'unit_price',
        'is_deleted',
    ]) }}
),

categories as (
    select * from {{ ref('dim_categories') }}
),

products as (
    select
        {{ dbt_utils.generate_surrogate_key(['dated.product_id', 'dated.effective_date']) }}
            as product_key,
        coalesce(categories.category_key, {{ unknown_key() }}) as category_key,
        dated.product_id,
        dated.category_id,
        dated.product_name,
        dated.description,
        dated.unit_price,
        dated.effective_date,
        dated.expiry_date,
        dated.expiry_date = {{ end_of_time() }} as is_current,
        dated.is_deleted
    from dated
    left join categories on dated.category_id = categories.category_id
    where dated.effective_date < dated.expiry_date
),

unknown_member as (
    select
        {{ unknown_key() }} as product_key,
        {{ unknown_key() }} as category_key,
        null::{{ text_type() }} as product_id,
        null::{{ text_type() }} as category_id,
        null::{{ text_type() }} as product_name,
        null::{{ text_type() }} as description,
        null::{{ amount_type() }} as unit_price,
        {{ beginning_of_time() }} as effective_date,
        {{ end_of_time() }} as expiry_date,
        true as is_current,
        false as is_deleted
),

final as (
    select * from products
    union all
    select * from unknown_member
)

select * from final
