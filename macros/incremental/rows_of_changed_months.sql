{% macro rows_of_changed_months(keys, relation, month, dated_by) -%}
    {{ rows_of_changed_periods(
        keys,
        relation,
        dated_by,
        columns=keys.columns | reject('equalto', month) | list,
        first_moment=start_of_day('keys.' ~ month),
        end_moment=start_of_day(add_months('keys.' ~ month, 1))
    ) }}
{%- endmacro %}
