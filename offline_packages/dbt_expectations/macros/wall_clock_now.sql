{#- The current time as a timestamp without time zone, in the zone of the variable that dbt_date requires. Assumes
    that the session is in UTC, like the original package. -#}
{%- macro wall_clock_now() -%}
    {{- return(adapter.dispatch('wall_clock_now', 'dbt_expectations')()) -}}
{%- endmacro -%}

{%- macro default__wall_clock_now() -%}
    (cast(current_timestamp as timestamp) at time zone 'UTC' at time zone '{{ var("dbt_date:time_zone") }}')
{%- endmacro -%}

{%- macro spark__wall_clock_now() -%}
    from_utc_timestamp(current_timestamp(), '{{ var("dbt_date:time_zone") }}')
{%- endmacro -%}
