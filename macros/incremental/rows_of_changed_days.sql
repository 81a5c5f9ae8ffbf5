{% macro rows_of_changed_days(keys, relation, dated_by) -%}
    {{ rows_of_changed_periods(
        keys,
        relation,
        dated_by,
        period='date_key',
        columns=keys.columns,
        first_moment=start_of_day(date_of_key('keys.date_key')),
        end_moment=start_of_day(add_days(date_of_key('keys.date_key'), 1))
    ) }}
{%- endmacro %}
