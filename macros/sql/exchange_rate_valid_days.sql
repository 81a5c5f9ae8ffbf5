{% macro exchange_rate_valid_days() -%}
    {%- set days = var('exchange_rate_valid_days') -%}
    {%- if days is not integer or days < 1 or days > 366 -%}
        {{ exceptions.raise_compiler_error(
            "The variable exchange_rate_valid_days is '" ~ days ~ "'; it takes a whole number of days from 1 to 366."
        ) }}
    {%- endif -%}
    {{ return(days) }}
{%- endmacro %}
