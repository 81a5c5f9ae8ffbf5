{{ config(
    unique_key=['category_key', 'ancestor_category_key'],
) }}

{%- do skip_unless_changed() %}

with recursive

categories as (
    select * from {{ ref('dim_categories') }}
),

final as (
    select
        category_key,
        category_key as ancestor_category_key,
        0 as distance
    from categories

    union all

    select
        final.category_key,
        categories.parent_category_key as ancestor_category_key,
        final.distance + 1 as distance
    from final
    inner join categories on final.ancestor_category_key = categories.category_key
    where categories.parent_category_key is not null
)

select * from final
