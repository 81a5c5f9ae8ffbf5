{{ config(alias='row_issues') }}

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
    last_seen_at,
    row_data
from {{ ref('row_issues') }}
where resolved_at is null
