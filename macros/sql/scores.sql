{% macro score_of_five(order_by) -%}
    {#- Not ntile, which puts equal values into different groups. Equal values share the rank of the first one. -#}
    least(1 + floor(5 * percent_rank() over (order by {{ order_by }})), 5)::int
{%- endmacro %}
