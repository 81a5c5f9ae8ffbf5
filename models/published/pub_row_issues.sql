{{ config(alias='next_row_issues', unique_key=['table_name', 'row_key', 'rule_name']) }}

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
from {{ ref('row_issues') }}
where resolved_at is null
