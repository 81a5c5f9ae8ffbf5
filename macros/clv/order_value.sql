{% macro expected_order_value(repeat_purchases, mean_amount) -%}
    (p * (v + {{ repeat_purchases }} * {{ mean_amount }}) / (p * {{ repeat_purchases }} + q - 1))
{%- endmacro %}


{% macro predicted_amount(expression) -%}
    {#- A prediction must not stop a build: a value beyond the range of amounts is capped. -#}
    case when {{ expression }} > 1e15 then 1e15 else {{ expression }} end::{{ amount_type() }}
{%- endmacro %}


{% macro lifetime_value_without_model(total_spent) -%}
    round({{ total_spent }} * {{ var('simple_clv_factor') }}, 2)::{{ amount_type() }}
{%- endmacro %}
