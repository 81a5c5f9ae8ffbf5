{#- On a column, the expression follows the column name: `> 0`. A null passes. -#}
{%- test expression_is_true(model, expression, column_name=none) -%}
    {%- set condition = expression if column_name is none else column_name ~ ' ' ~ expression -%}

select {{ '*' if should_store_failures() else '1' }}
from {{ model }}
where not ({{ condition }})
{%- endtest -%}
