{#- The conditions stand without brackets, as in the hub's package: one with an `or` brings its own. -#}
{%- test relationships_where(model, column_name, to, field, from_condition='1=1', to_condition='1=1') %}
with

children as (
    select {{ column_name }} as id
    from {{ model }}
    where {{ column_name }} is not null and {{ from_condition }}
),

parents as (
    select {{ field }} as id
    from {{ to }}
    where {{ field }} is not null and {{ to_condition }}
)

select
    children.id,
    null as right_id
from children
where not exists (select 1 from parents where parents.id = children.id)
{%- endtest -%}
