{#- The row_condition stands without brackets, as in the hub's package: one with an `or` brings its own. -#}
{%- test expect_compound_columns_to_be_unique(
    model, column_list, quote_columns=false, ignore_row_if='all_values_are_missing', row_condition=none
) -%}
    {%- if column_list is string or not column_list -%}
        {{ exceptions.raise_compiler_error(
            "expect_compound_columns_to_be_unique: column_list must be a list of columns, got "
            ~ column_list | pprint ~ "."
        ) }}
    {%- endif -%}
    {%- set connectives = {'all_values_are_missing': ' or ', 'any_value_is_missing': ' and '} -%}
    {%- if ignore_row_if not in connectives -%}
        {{ exceptions.raise_compiler_error(
            "expect_compound_columns_to_be_unique: ignore_row_if must be all_values_are_missing or"
            ~ " any_value_is_missing, got " ~ ignore_row_if | pprint ~ "."
        ) }}
    {%- endif -%}

    {%- set names = [] -%}
    {%- set present = [] -%}
    {%- for column in column_list -%}
        {%- set name = adapter.quote(column) if quote_columns else column -%}
        {%- do names.append(name) -%}
        {%- do present.append(name ~ ' is not null') -%}
    {%- endfor -%}
    {%- set combination = names | join(', ') %}

select
    {{ combination }},
    count(*) as n_records
from {{ model }}
where {% if row_condition %}{{ row_condition }} and {% endif -%}
    ({{ present | join(connectives[ignore_row_if]) }})
group by {{ combination }}
having count(*) > 1
{%- endtest -%}
