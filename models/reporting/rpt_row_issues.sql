{{ config(alias='row_issues') }}

with

row_issues as (
    select * from {{ published(ref('pub_row_issues')) }}
),

final as (
    select
        table_name,
        row_key,
        rule_name,
        says,
        dimension,
        effect,
        related_table,
        related_key,
        first_seen_at,
        row_data
    from row_issues
)

select * from final
