{% macro first_measured_day() -%}
    {#- The first judged day has 12 weeks of history before it. -#}
    {{ add_days(local_date(as_of()), '-' ~ (var('anomaly_days') | int + history_days())) }}
{%- endmacro %}


{% macro history_days() -%}
    {{ return(84) }}
{%- endmacro %}
