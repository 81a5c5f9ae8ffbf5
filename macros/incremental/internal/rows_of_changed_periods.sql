{% macro rows_of_changed_periods(keys, relation, dated_by, columns, first_moment, end_moment) -%}
    {%- if keys.all or flags.EMPTY -%}
        {#- With --empty a relation has an alias already. -#}
        (select * from {{ relation }})
    {%- else -%}
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
                where dated.{{ dated_by }} >= {{ first_moment }}
                    and dated.{{ dated_by }} < {{ end_moment }}
                    {%- for column in columns %}
                    and dated.{{ column }} = keys.{{ column }}
                    {%- endfor %}
                offset 0
            ) as led
        )
    {%- endif -%}
{%- endmacro %}
