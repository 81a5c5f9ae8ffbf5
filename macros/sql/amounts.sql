{% macro is_amount(column) -%}
    (abs({{ column }}) < 1000000000000)
{%- endmacro %}


{% macro safe_divide(numerator, denominator, digits=2) -%}
    coalesce(round({{ numerator }} / nullif({{ denominator }}, 0), {{ digits }}), 0)
{%- endmacro %}
