{%- set reasons = {
    'no request_id': 'request_id is null',
    'no user_id': clean_text('user_id') ~ ' is null',
    'request_id is too long': is_too_long('request_id'),
    'user_id is too long': is_too_long('user_id'),
} %}

select
    -- ids
    request_id::{{ text_type() }} as request_id,
    {{ foreign_key('user_id') }} as user_id,

    -- booleans
    _deleted_at is not null as is_deleted,

    -- timestamps
    requested_at,

    -- load
    {{ exclusion_reason(reasons) }} as exclusion_reason,
    _loaded_at,
    _row_xid,
    {{ is_included(reasons) }} as is_included
from {{ read_source('erasure_requests') }}
