-- A state ends after it begins. States from before decision 0015 may not.
{%- set keys = {
    'snp_app__users': 'user_id',
    'snp_app__products': 'product_id',
    'snp_user_segments': 'user_id',
} %}
with

final as (
    {%- for name, key in keys.items() %}
        select
            '{{ name }}' as snapshot_name,
            {{ key }} as key,
            dbt_scd_id,
            dbt_valid_from,
            dbt_valid_to
        from {{ ref(name) }}
        where dbt_valid_from >= dbt_valid_to
        {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
