{%- test expect_column_values_to_match_regex(
    model, column_name, regex, row_condition=none, is_raw=false, flags=''
) -%}
    {%- set condition = dbt_expectations.matches_regex(column_name, regex, is_raw, flags) -%}
    {{- dbt_expectations.rows_that_break(model, condition, row_condition) -}}
{%- endtest -%}
