{% macro rows_of_changed_periods(keys, relation, dated_by, period, columns, first_moment, end_moment, condition=none) -%}
    {%- if execute and period not in keys.columns -%}
        {{ exceptions.raise_compiler_error(
            'rows_of_changed_days or rows_of_changed_months in ' ~ model.name ~ ": the keys have no column '" ~ period ~ "'; they have "
            ~ keys.columns | join(', ') ~ '.'
        ) }}
    {%- endif -%}
    {%- if keys.all or flags.EMPTY -%}
        {#- The planner leaves the columns out, but one that there is not stops the first build. With --empty a relation has an alias already. -#}
        (
            select *
            from (select * from {{ relation }}) as dated
            where true or ({{ ([dated_by] + columns + (['date_key'] if condition else [])) | join(', ') }}) is null
        )
    {%- else -%}
        {#- The keys say which rows; the moments find the partition. Where clocks change at midnight, a day may begin a little earlier. -#}
        {%- set margin = "interval '1 day'" if time_zone() != 'UTC' -%}
        {#-
            The planner does not consider that each key needs one partition only, and reads or asks them all. With offset 0 it looks
            up each key by itself, and skips the other partitions. In order, because pages are then still cached.
        -#}
        (
            select led.*
            from (
                select distinct {{ keys.columns | join(', ') }}
                from changed_keys
                order by {{ keys.columns | reverse | join(', ') }}
            ) as keys
            cross join lateral (
                select *
                from {{ relation }} as dated
                where dated.{{ dated_by }} >= {{ first_moment }}{{ ' - ' ~ margin if margin }}
                    and dated.{{ dated_by }} < {{ end_moment }}{{ ' + ' ~ margin if margin }}
                    {%- for column in columns %}
                    and dated.{{ column }} = keys.{{ column }}
                    {%- endfor %}
                    {%- if condition %}
                    and {{ condition }}
                    {%- endif %}
                offset 0
            ) as led
        )
    {%- endif -%}
{%- endmacro %}
