{%- set reasons = {
    'no category_id': 'category_id is null',
    'category_id is too long': is_too_long('category_id'),
    'parent_id is too long': is_too_long('parent_id'),
} %}

select
    -- ids
    category_id::{{ text_type() }} as category_id,
    {{ foreign_key('parent_id') }} as parent_id,

    -- strings
    {{ clean_text('category_name') }} as category_name,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('categories') }}
