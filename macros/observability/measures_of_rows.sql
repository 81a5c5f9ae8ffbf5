{% macro measures_of_rows(source_name, table, changed_days) -%}
    {#- Each row is read once; a measure is a line of the result. Rows are sorted by day, so they carry hashes instead of texts. -#}
    {%- set values, counts, measures = [], [], [] -%}
    {%- for name, value in table.null_rates.items() -%}
        {%- do values.append('(' ~ value ~ ') is not null as is_known_' ~ loop.index) -%}
        {%- do counts.append('count(*) filter (where is_known_' ~ loop.index ~ ') as known_' ~ loop.index) -%}
        {%- do measures.append(
            {'measure': 'null_rate', 'column': name, 'value': '1 - known_' ~ loop.index ~ '::numeric / row_count', 'of': 'row_count'}
        ) -%}
    {%- endfor -%}
    {%- for name, columns in table.distinct_counts.items() -%}
        {%- set counted = '(' ~ columns ~ ')::' ~ text_type() if columns is string else "concat_ws('|', " ~ columns | join(', ') ~ ')' -%}
        {%- do values.append(hash_of_text(counted) ~ ' as hash_' ~ loop.index) -%}
        {%- do counts.append('count(hash_' ~ loop.index ~ ') as counted_' ~ loop.index) -%}
        {%- do counts.append('count(distinct hash_' ~ loop.index ~ ') as distinct_' ~ loop.index) -%}
        {%- do measures.append(
            {'measure': 'distinct_count', 'column': name, 'value': 'distinct_' ~ loop.index, 'of': 'counted_' ~ loop.index}
        ) -%}
    {%- endfor -%}
    {%- for name, value in table.means.items() -%}
        {%- do values.append(value ~ ' as averaged_value_' ~ loop.index) -%}
        {%- do counts.append('count(averaged_value_' ~ loop.index ~ ') as averaged_' ~ loop.index) -%}
        {%- do counts.append('avg(averaged_value_' ~ loop.index ~ ') as mean_' ~ loop.index) -%}
        {%- do measures.append({'measure': 'mean', 'column': name, 'value': 'mean_' ~ loop.index, 'of': 'averaged_' ~ loop.index}) -%}
    {%- endfor -%}
    with

    rows_of_days as (
        select *
        from {{ rows_of_measured_days(source_name, table, changed_days) }}
        {%- if table.where %}
        where {{ table.where }}
        {%- endif %}
    ),

    values_of_rows as (
        select
            {{ local_date(table.dated_by) }} as day
            {%- for value in values %},
            {{ value }}
            {%- endfor %}
        from rows_of_days
        where {{ table.dated_by }} is not null
        {{ evaluated_once() }}
    ),

    counted as (
        select
            day,
            count(*) as row_count
            {%- for count in counts %},
            {{ count }}
            {%- endfor %}
        from values_of_rows
        group by 1
    )

    {% for each in [{'measure': 'rows', 'column': '*', 'value': 'row_count', 'of': 'row_count'}] + measures -%}
    select
        '{{ source_name }}'::{{ text_type() }} as source_name,
        '{{ table.table_name }}'::{{ text_type() }} as table_name,
        day,
        '{{ each.measure }}'::{{ text_type() }} as measure,
        '{{ each.column }}'::{{ text_type() }} as column_name,
        ({{ each.value }})::{{ measure_type() }} as value,
        {{ each.of }} as row_count
    from counted
    where {{ each.of }} > 0
    {{ 'union all' if not loop.last }}
    {% endfor %}
{%- endmacro %}
