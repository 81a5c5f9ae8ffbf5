{% macro rows_of_changed_months(keys, relation, month, dated_by) -%}
    {#-
        The days say the same as the timestamps, which find the partition. With the other columns they are in an index; without
        them the planner takes a BRIN index on the timestamp, and with it the whole partition, for each key.
    -#}
    {{ rows_of_changed_periods(
        keys,
        relation,
        dated_by,
        period=month,
        columns=keys.columns | reject('equalto', month) | list,
        first_moment=start_of_day('keys.' ~ month),
        end_moment=start_of_day(add_months('keys.' ~ month, 1)),
        condition='dated.date_key between ' ~ date_key('keys.' ~ month) ~ ' and ' ~ date_key(add_days(add_months('keys.' ~ month, 1), -1))
    ) }}
{%- endmacro %}
