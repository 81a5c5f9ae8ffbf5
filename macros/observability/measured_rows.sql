{% macro measured_rows(relation, dated_by, logged='date_key', where=none, null_rates=[], distinct_counts=[], means=[]) -%}
    {#- A list of columns, or expressions by name; for a distinct count also several columns by name. -#}
    {%- set given = {'null_rates': null_rates, 'distinct_counts': distinct_counts, 'means': means} -%}
    {%- set named = {} -%}
    {%- for kind, columns in given.items() -%}
        {%- if columns is string or columns is not iterable -%}
            {{ exceptions.raise_compiler_error(
                'measured_rows in ' ~ model.name ~ ': ' ~ kind ~ " is '" ~ columns ~ "'; it takes a list of columns, such as ['user_id'], or expressions by"
                ~ " name, such as {'item_count': 'nullif(item_count, 0)'}."
            ) }}
        {%- endif -%}
        {%- do named.update({kind: columns if columns is mapping else dict(zip(columns, columns))}) -%}
    {%- endfor -%}
    {#- In a unit test the relation is a CTE of that name. -#}
    {{ return({
        'relation': relation,
        'table_name': relation.identifier | replace('__dbt__cte__', ''),
        'dated_by': dated_by,
        'logged': logged,
        'day': date_of_key('date_key') if logged == 'date_key' else local_date(logged),
        'where': where,
        'null_rates': named.null_rates,
        'distinct_counts': named.distinct_counts,
        'means': named.means,
    }) }}
{%- endmacro %}
