{% macro log_odds_of_having_left() -%}
    {#- Null for a user of BG/NBD who bought once, who cannot have left. -#}
    case
        when repeat_purchases + may_leave_at_once > 0
            then
                ln(a / (b + repeat_purchases + may_leave_at_once - 1))
                + (r + repeat_purchases) * ln((alpha + age_weeks) / (alpha + recency_weeks))
    end
{%- endmacro %}


{% macro p_alive(log_odds) -%}
    {#- Beyond 100 the probability is below 1e-43, and exp() would exceed the range of the type. -#}
    case
        when {{ log_odds }} is null then 1
        when {{ log_odds }} > 100 then 0
        else 1 / (1 + exp({{ log_odds }}))
    end
{%- endmacro %}


{% macro expected_order_value(repeat_purchases, mean_amount) -%}
    p * (v + {{ repeat_purchases }} * {{ mean_amount }}) / (p * {{ repeat_purchases }} + q - 1)
{%- endmacro %}


{% macro predicted_amount(expression) -%}
    {#- A prediction must not stop a build: a value beyond the range of amounts is capped. -#}
    case when {{ expression }} > 1e15 then 1e15 else {{ expression }} end::{{ amount_type() }}
{%- endmacro %}


{% macro lifetime_value_without_model(total_spent) -%}
    round({{ total_spent }} * {{ var('simple_clv_factor') }}, 2)::{{ amount_type() }}
{%- endmacro %}


{% macro computed_once() -%}
    {{ return(adapter.dispatch('computed_once')()) }}
{%- endmacro %}


{% macro default__computed_once() -%}
    {#- PostgreSQL inlines the CTE and computes an expression wherever its name is used, unless told not to. -#}
    materialized
{%- endmacro %}


{% macro spark__computed_once() -%}{%- endmacro %}
