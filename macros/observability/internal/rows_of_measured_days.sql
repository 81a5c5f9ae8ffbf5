{% macro rows_of_measured_days(source_name, table, changed_days) -%}
    {#- As rows_of_changed_days, for keys whose first column is the name of the source. -#}
    {%- set margin = " - interval '1 day'" if time_zone() != 'UTC' -%}
    {%- set days_of_source -%}
        from changed_keys where source_name = '{{ source_name }}' and day >= {{ first_measured_day() }}
    {%- endset -%}
    {%- if changed_days.all -%}
        (select * from {{ table.relation }} where {{ table.dated_by }} >= {{ start_of_day(first_measured_day()) }}) as dated
    {%- elif flags.EMPTY -%}
        (select * from {{ table.relation }} where false) as dated
    {%- elif table.logged == 'date_key' -%}
        {#-
            Late rows can change a hundred days, each of which would look through its partition: so each partition since the first of
            them is read once, unless an index on the day is cheaper. With an upper bound the planner would expect few rows.
        #}
        (
            select *
            from {{ table.relation }}
            where {{ table.dated_by }} >= (select {{ start_of_day('min(day)') }}{{ margin }} {{ days_of_source }})
                and date_key in (select {{ date_key('day') }} {{ days_of_source }})
        ) as dated
    {%- else -%}
        (
            select dated.*
            from (select distinct day {{ days_of_source }} order by day) as keys
            cross join lateral (
                select *
                from {{ table.relation }} as dated
                where dated.{{ table.dated_by }} >= {{ start_of_day('keys.day') }}{{ margin }}
                    and dated.{{ table.dated_by }} < {{ start_of_day(add_days('keys.day', 1)) }}{{ margin | replace('-', '+') if margin }}
                    and {{ local_date('dated.' ~ table.dated_by) }} = keys.day
                    {%- if table.where %}
                    and {{ table.where }}
                    {%- endif %}
                offset 0
            ) as dated
        ) as dated
    {%- endif -%}
{%- endmacro %}
