{{ config(
    unique_key='category_key',
    meta={'change_log_keys': ['category_id']},
) }}

{%- do skip_unless_changed() %}

with recursive

categories as (
    select *
    from {{ ref('stg_app__categories') }}
    where is_included
),

-- Children of a missing or deleted parent move to the top level.
parented as (
    select
        categories.category_id,
        categories.category_name,
        parents.category_id as parent_id
    from categories
    left join categories as parents on categories.parent_id = parents.category_id
),

-- Recursion starts at the top, so it never enters a cycle, which has no top.
reached as (
    select
        category_id,
        parent_id,
        category_name,
        1 as depth,
        coalesce(category_name, category_id) as category_path
    from parented
    where parent_id is null

    union all

    select
        parented.category_id,
        parented.parent_id,
        parented.category_name,
        reached.depth + 1 as depth,
        reached.category_path || ' > ' || coalesce(parented.category_name, parented.category_id)
            as category_path
    from parented
    inner join reached on parented.parent_id = reached.category_id
),

located as (
    select
        parented.category_id,
        case when reached.category_id is not null then parented.parent_id end as parent_id,
        parented.category_name,
        coalesce(reached.depth, 1) as depth,
        coalesce(reached.category_path, parented.category_name, parented.category_id)
            as category_path,
        reached.category_id is null as is_in_cycle
    from parented
    left join reached on parented.category_id = reached.category_id
),

final as (
    select
        {{ dbt_utils.generate_surrogate_key(['category_id']) }} as category_key,
        case
            when parent_id is not null
                then {{ dbt_utils.generate_surrogate_key(['parent_id']) }}
        end as parent_category_key,
        category_id,
        parent_id,
        category_name,
        depth,
        category_path,
        is_in_cycle
    from located

    union all

    select
        {{ unknown_key() }} as category_key,
        null::{{ text_type() }} as parent_category_key,
        null::{{ text_type() }} as category_id,
        null::{{ text_type() }} as parent_id,
        null::{{ text_type() }} as category_name,
        1 as depth,
        'unknown'::{{ text_type() }} as category_path,
        false as is_in_cycle
)

select * from final
