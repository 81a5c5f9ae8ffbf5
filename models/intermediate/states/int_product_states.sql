{{ config(materialized='ephemeral') }}

-- Names the columns of the snapshot, which cannot be rebuilt: a new column of staging must not reach it by itself.
with

products as (
    select * from {{ ref('stg_app__products') }}
),

final as (
    select
        product_id,
        category_id,
        product_name,
        description,
        unit_price,
        is_deleted,
        version_started_at,
        exclusion_reason,
        _loaded_at,
        _row_xid
    from products
)

select * from final
