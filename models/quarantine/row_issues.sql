with

issues as (
    select * from {{ ref('snp_row_issues') }}
),

rules as (
    select * from {{ ref('int_quality_rules') }}
),

-- Columns that were tagged as personal after an issue was kept are left out here too.
tables as (
    select
        table_name,
        max(personal_columns) as personal_columns
    from rules
    group by 1
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
        {{ json_without('issues.row_data', 'tables.personal_columns') }} as row_data,
        issues.personal_data
    from issues
    cross join last_run
    left join rules
        on issues.table_name = rules.table_name and issues.rule_name = rules.rule_name
    left join tables on issues.table_name = tables.table_name
)

select * from final
