{#- The failures are the sum of the differences. As in the hub's package, a group (or a whole table)
    that is on one side only counts as no difference, and two empty tables give no verdict at all;
    so never use this test where a table may be empty. -#}
{%- test equal_rowcount(model, compare_model, group_by_columns=[]) -%}
    {{- config(fail_calc='sum(coalesce(diff_count, 0))') -}}

    {%- set keys = ['id_dbtutils_test_equal_rowcount'] + group_by_columns -%}
    {%- set counted = [] -%}
    {%- for relation in (model, compare_model) -%}
        {%- set rows_per_group -%}
            select {{ keys | join(', ') }}, count(*) as row_count
            from (select *, 1 as id_dbtutils_test_equal_rowcount from {{ relation }}) as tagged
            group by {{ keys | join(', ') }}
        {%- endset -%}
        {%- do counted.append(rows_per_group) -%}
    {%- endfor %}

select
    {%- for key in keys %}
    ours.{{ key }} as {{ key }}_a,
    theirs.{{ key }} as {{ key }}_b,
    {%- endfor %}
    ours.row_count as count_a,
    theirs.row_count as count_b,
    abs(ours.row_count - theirs.row_count) as diff_count
from ({{ counted[0] }}) as ours
full outer join ({{ counted[1] }}) as theirs
    on {% for key in keys %}{{ 'and ' if not loop.first }}ours.{{ key }} = theirs.{{ key }} {% endfor %}
{%- endtest -%}
