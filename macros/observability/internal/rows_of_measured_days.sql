{% macro rows_of_measured_days(source_name, table, changed_days) -%}
    {#- As rows_of_changed_days, for keys whose first column is the name of the source. -#}
    {%- if changed_days.all -%}
        (select * from {{ table.relation }} where {{ table.dated_by }} >= {{ start_of_day(first_measured_day()) }}) as dated
    {%- elif flags.EMPTY -%}
        (select * from {{ table.relation }} where false) as dated
    {%- else -%}
        {%- set margin = "interval '1 day'" if time_zone() != 'UTC' -%}
        (
            select dated.*
            from (
                select distinct day
                from changed_keys
                where source_name = '{{ source_name }}' and day >= {{ first_measured_day() }}
                order by day
            ) as keys
            cross join lateral (
                select *
                from {{ table.relation }} as dated
                where dated.{{ table.dated_by }} >= {{ start_of_day('keys.day') }}{{ ' - ' ~ margin if margin }}
                    and dated.{{ table.dated_by }} < {{ start_of_day(add_days('keys.day', 1)) }}{{ ' + ' ~ margin if margin }}
                    {%- if table.logged == 'date_key' %}
                    and dated.date_key = {{ date_key('keys.day') }}
                    {%- else %}
                    and {{ local_date('dated.' ~ table.dated_by) }} = keys.day
                    {%- endif %}
                    {%- if table.where %}
                    and {{ table.where }}
                    {%- endif %}
                offset 0
            ) as dated
        ) as dated
    {%- endif -%}
{%- endmacro %}
