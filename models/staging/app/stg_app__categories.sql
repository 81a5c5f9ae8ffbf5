{%- set rules = declare_rules({
    'category_id_is_present': exclude_when('category_id is null', 'no category_id', 'completeness'),
    'category_id_is_short': exclude_when(
        is_too_long('category_id'), 'category_id is too long', 'validity'
    ),
    'parent_id_is_short': exclude_when(is_too_long('parent_id'), 'parent_id is too long', 'validity'),
    'parent_is_known': flag_when(
        'staged.parent_id is not null and categories.category_id is null',
        'its parent is not in categories', 'consistency', {'categories': 'parent_id'}
    ),
}) %}

select
    -- ids
    category_id::{{ text_type() }} as category_id,
    {{ foreign_key('parent_id') }} as parent_id,

    -- strings
    {{ clean_text('category_name') }} as category_name,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- load
    {{ exclusion_reason(rules) }} as exclusion_reason,
    {{ failed_rules(rules) }} as failed_rules,
    _loaded_at,
    _row_xid,
    {{ is_included(rules) }} as is_included
from {{ read_source('categories') }}
