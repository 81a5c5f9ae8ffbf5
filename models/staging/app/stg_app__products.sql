{%- set reasons = {
    'no product_id': 'product_id is null',
    'product_id is too long': is_too_long('product_id'),
    'category_id is too long': is_too_long('category_id'),
} %}

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
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('products') }}
