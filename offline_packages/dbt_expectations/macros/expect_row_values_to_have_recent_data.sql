{#- Rows in the future do not count. Without any row, the newest one is assumed to be from 1970. -#}
{%- test expect_row_values_to_have_recent_data(model, column_name, datepart, interval, row_condition=none) -%}
    {%- set moment = dbt.cast(column_name, dbt.type_timestamp()) -%}
    {%- set now = dbt_expectations.wall_clock_now() -%}
    {%- set oldest_allowed = dbt.cast(dbt.dateadd(datepart, -interval, now), dbt.type_timestamp()) %}

select max({{ moment }}) as max_timestamp
from {{ model }}
where {{ moment }} <= {{ now }}
    {% if row_condition %}and {{ row_condition }}{% endif %}
having coalesce(max({{ moment }}), {{ dbt.cast("'1970-01-01'", dbt.type_timestamp()) }}) < {{ oldest_allowed }}
{%- endtest -%}
