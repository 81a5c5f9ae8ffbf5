{% macro exchange_rate_to_report(currency, rate) -%}
    {%- if reporting_currency() -%}
    case when coalesce({{ currency }}, '{{ reporting_currency() }}') = '{{ reporting_currency() }}' then 1 else {{ rate }} end
    {%- else -%}
    1
    {%- endif -%}
{%- endmacro %}
