{#- A view of one row: readers compare it as a whole, because a new version of the parameters affects all keys. -#}
{{ config(materialized='view', incremental_strategy='') }}

with

one_row as (
    select 1 as place
),

versions as (
    select
        *,
        row_number() over (
            partition by refused_because is null order by as_of desc, version desc
        ) as place
    from {{ source('ml', 'clv_parameters') }}
    -- Parameters fitted to later purchases would leak the future into an earlier day.
    where as_of <= {{ as_of() }}
),

trusted as (
    select * from versions
    where refused_because is null and place = 1
),

refused as (
    select * from versions
    where refused_because is not null and place = 1
),

final as (
    select
        trusted.version,
        trusted.model,
        case when trusted.model = 'mbg-nbd' then 1 else 0 end as may_leave_at_once,
        trusted.r,
        trusted.alpha,
        trusted.a,
        trusted.b,
        trusted.p,
        trusted.q,
        trusted.v,
        {%- for covariance in clv_covariances() %}
        trusted.{{ covariance }},
        {%- endfor %}
        {{ var('clv_monthly_discount') }}::{{ float_type() }} as monthly_discount,
        case
            when trusted.version is not null then null
            when refused.version is not null
                then 'the fit was refused: ' || refused.refused_because
            else 'there are no parameters yet: warehouse clv fit makes them'
        end as no_prediction_because
    from one_row
    left join trusted on one_row.place = trusted.place
    left join refused on one_row.place = refused.place
)

select * from final
