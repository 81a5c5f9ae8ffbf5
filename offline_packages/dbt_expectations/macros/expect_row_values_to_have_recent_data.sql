{%- test expect_row_values_to_have_recent_data(model, column_name, datepart, interval, row_condition=none) -%}
    {#- A table without such a row counts as last seen in 1970; a time to come does not count. -#}
    {%- set moment = 'cast(' ~ column_name ~ ' as ' ~ dbt.type_timestamp() ~ ')' -%}
    {%- set now = "(current_timestamp at time zone '" ~ var('dbt_date:time_zone') ~ "')" -%}
select latest.max_timestamp
from (
    select max({{ moment }}) as max_timestamp
    from {{ model }}
    where {{ moment }} <= {{ now }}
    {% if row_condition %}and {{ row_condition }}{% endif %}
) as latest
where coalesce(latest.max_timestamp, cast('1970-01-01' as {{ dbt.type_timestamp() }}))
    < {{ dbt.dateadd(datepart, -1 * interval, now) }}
{%- endtest -%}
