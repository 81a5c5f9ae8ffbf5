{% macro rfm_window_months() -%}
    {%- set months = var('rfm_window_months') | string | trim -%}
    {%- if not modules.re.fullmatch('[0-9]{1,4}', months) or not 1 <= months | int <= 1200 -%}
        {{ exceptions.raise_compiler_error(
            "The variable rfm_window_months is '" ~ var('rfm_window_months') ~ "'; it takes a whole number of months from 1 to 1200."
        ) }}
    {%- endif -%}
    {{ months }}
{%- endmacro %}
