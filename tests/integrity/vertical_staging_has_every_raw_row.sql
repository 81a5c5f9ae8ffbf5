-- A staging model changes columns only: it neither drops nor duplicates a row.
with

counted as (
    {%- for table_name in var('sources_present') %}
        select
            '{{ table_name }}' as table_name,
            (select count(*) from {{ source('app', table_name) }}) as raw_rows,
            (select count(*) from {{ ref('stg_app__' ~ table_name) }}) as staged_rows
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

final as (
    select * from counted
    where raw_rows != staged_rows
)

select * from final
