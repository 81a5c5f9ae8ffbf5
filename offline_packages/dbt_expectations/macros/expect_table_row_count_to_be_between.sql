{#- With group_by, each existing group is counted separately; groups without rows are not tested. -#}
{%- test expect_table_row_count_to_be_between(
    model, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false
) -%}
    {%- if group_by is string -%}
        {{ exceptions.raise_compiler_error(
            "expect_table_row_count_to_be_between: group_by must be a list of columns, got "
            ~ group_by | pprint ~ "."
        ) }}
    {%- endif -%}
    {%- set condition = dbt_expectations.within_bounds(
        'expect_table_row_count_to_be_between', 'count(*)', min_value, max_value, strictly
    ) %}

select
    {%- for column in group_by or [] %}
    {{ column }} as col_{{ loop.index }},
    {%- endfor %}
    {{ condition }} as expression
from {{ model }}
{% if row_condition %}where {{ row_condition }}{% endif %}
{% if group_by %}group by {{ group_by | join(', ') }}{% endif %}
having not ({{ condition }})
{%- endtest -%}
