{%- test expect_column_value_lengths_to_be_between(
    model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false
) -%}
    {%- set condition = dbt_expectations.within_bounds(
        'expect_column_value_lengths_to_be_between',
        dbt.length(column_name) | trim,
        min_value,
        max_value,
        strictly
    ) -%}
    {{- dbt_expectations.rows_that_break(model, condition, row_condition) -}}
{%- endtest -%}
