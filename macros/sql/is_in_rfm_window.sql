{% macro is_in_rfm_window(date) -%}
    {{ date }} > {{ add_months(local_date(as_of()), '-' ~ rfm_window_months()) }}
{%- endmacro %}
