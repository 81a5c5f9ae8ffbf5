{{ config(
    unique_key='event_type_key',
    meta={'change_log_keys': ['event_type']},
) }}

{%- do skip_unless_changed() %}

with

event_types as (
    select * from {{ ref('event_types') }}
),

final as (
    select
        {{ dbt_utils.generate_surrogate_key(['event_type']) }} as event_type_key,
        event_type,
        event_category,
        funnel_step
    from event_types

    union all

    select
        {{ unknown_key() }} as event_type_key,
        'unknown'::{{ text_type() }} as event_type,
        'unknown'::{{ text_type() }} as event_category,
        null::int as funnel_step
)

select * from final
