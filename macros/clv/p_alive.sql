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
