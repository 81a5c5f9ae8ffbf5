{{ config(materialized='ephemeral') }}

-- Lists the snapshot's columns: a snapshot selects all columns and cannot be rebuilt, so a new staging column must not reach it.
with

products as (
    select * from {{ ref('stg_app__products') }}
    -- The snapshot indexes its key, which a row without a reason has.
    where exclusion_reason is null
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
