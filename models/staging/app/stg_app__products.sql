{%- set rules = declare_rules({
    'product_id_is_present': exclude_when('product_id is null', 'no product_id', 'completeness'),
    'product_id_is_short': exclude_when(
        is_too_long('product_id'), 'product_id is too long', 'validity'
    ),
    'category_id_is_short': exclude_when(
        is_too_long('category_id'), 'category_id is too long', 'validity'
    ),
    'unit_price_is_an_amount': flag_when(
        'not ' ~ is_amount('unit_price'), 'unit_price is no amount', 'validity'
    ),
    'unit_price_is_not_negative': flag_when(
        'unit_price < 0', 'unit_price is below 0', 'validity'
    ),
    'category_is_known': flag_when(
        'staged.category_id is not null and categories.category_id is null',
        'its category is not in categories', 'consistency', {'categories': 'category_id'}
    ),
}) %}

select
    -- ids
    product_id::{{ text_type() }} as product_id,
    {{ foreign_key('category_id') }} as category_id,

    -- strings
    {{ clean_text('product_name') }} as product_name,
    {{ clean_text('description') }} as description,

    -- numerics
    (case when {{ is_amount('unit_price') }} then unit_price end)::{{ amount_type() }}
        as unit_price,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- timestamps
    {{ version_started_at() }} as version_started_at,

    -- load
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('products') }}
