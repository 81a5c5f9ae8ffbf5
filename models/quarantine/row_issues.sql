with

issues as (
    select * from {{ ref('snp_row_issues') }}
),

rules as (
    select * from {{ ref('int_quality_rules') }}
),

last_run as (
    select max(advanced_at) as judged_at
    from {{ source('observability', 'watermarks') }}
    where model_name = 'snp_row_issues'
),

final as (
    select
        issues.table_name,
        issues.row_key,
        issues.rule_name,
        rules.says,
        rules.dimension,
        issues.effect,
        issues.related_table,
        issues.related_key,
        issues.dbt_valid_from as first_seen_at,
        case
            when issues.dbt_valid_to < {{ end_of_time() }} then issues.dbt_valid_to
            else last_run.judged_at
        end as last_seen_at,
        case
            when issues.dbt_valid_to < {{ end_of_time() }} then issues.dbt_valid_to
        end as resolved_at,
        issues.row_data,
        issues.personal_data
    from issues
    cross join last_run
    left join rules
        on issues.table_name = rules.table_name and issues.rule_name = rules.rule_name
)

select * from final
