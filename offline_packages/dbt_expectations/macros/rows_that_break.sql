{#- The rows that match row_condition and for which the condition is false; null is not false. -#}
{%- macro rows_that_break(model, condition, row_condition=none) %}
select expression
from (
    select {{ condition }} as expression
    from {{ model }}
    {% if row_condition %}where {{ row_condition }}{% endif %}
) as checked
where not expression
{%- endmacro -%}
