{% macro reporting_currency() -%}
    {%- set currency = var('reporting_currency') -%}
    {%- if currency and not modules.re.fullmatch('[A-Z]{3}', currency | string) -%}
        {{ exceptions.raise_compiler_error(
            "The variable reporting_currency is '" ~ currency ~ "'; it takes an ISO 4217 code in capitals, such as EUR, or null."
        ) }}
    {%- elif currency and 'exchange_rates' not in var('sources_present') -%}
        {{ exceptions.raise_compiler_error(
            "The variable reporting_currency is '" ~ currency ~ "', but sources_present lacks 'exchange_rates', which converts other"
            ~ ' currencies to it: load the table and list it, or set reporting_currency to null.'
        ) }}
    {%- endif -%}
    {{ return(currency or none) }}
{%- endmacro %}
