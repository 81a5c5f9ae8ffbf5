{% macro tell_of_currencies(days) -%}
    {%- if execute and flags.WHICH in ['build', 'test'] -%}
        {%- set currency = reporting_currency() -%}
        {%- set has_rates = 'exchange_rates' in var('sources_present') -%}
        {%- set count = 'orders_without_rate' if currency else 'orders' -%}
        {%- set rows = run_query(
            'select currency, sum(' ~ count ~ ') from ' ~ days ~ ' group by 1'
            ~ (' having sum(' ~ count ~ ') > 0' if currency else '') ~ ' order by 2 desc, 1'
        ).rows -%}
        {%- set named = [] -%}
        {%- for row in rows[:20] -%}
            {%- do named.append(row[0] ~ ' (' ~ '{:,}'.format(row[1] | int) ~ ')') -%}
        {%- endfor -%}
        {%- if rows | length > 20 -%}
            {%- do named.append('and ' ~ (rows | length - 20) ~ ' more') -%}
        {%- endif -%}
        {%- if rows and currency -%}
            {%- do exceptions.warn(
                'Orders without a rate into ' ~ currency ~ ', or with a line of more than 10^12 of it, count with an amount of 0: '
                ~ named | join(', ') ~ ('.' if has_rates else ': the variable sources_present lacks exchange_rates.')
            ) -%}
        {%- elif rows | length > 1 -%}
            {%- do exceptions.warn(
                'Revenue adds up amounts of several currencies as they are: ' ~ named | join(', ') ~ ' orders. Load exchange_rates'
                ~ ('' if has_rates else ', add it to the variable sources_present') ~ ' and set reporting_currency, or use daily_revenue_by_currency.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
