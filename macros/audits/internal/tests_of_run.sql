{% macro tests_of_run() -%}
    {#-
        dbt builds a dictionary for each access to a node, so a test is looked at only if its name says that it is of this model, as
        dbt's names do. Others are asked of the whole table, later.
    -#}
    {%- set tests = [] -%}
    {%- if execute and flags.WHICH == 'build' and not flags.EMPTY and not is_sample() -%}
        {%- for unique_id in selected_resources if unique_id.startswith('test.') and model.name in unique_id -%}
            {%- set test = graph.nodes.get(unique_id) -%}
            {%- if test and test.attached_node == model.unique_id and is_row_wise(test) -%}
                {%- do tests.append(test) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(tests) }}
{%- endmacro %}


{% macro is_row_wise(test) -%}
    {#- Whether a row fails or passes whatever the other rows of its table are. -#}
    {%- set known = [
        'not_null', 'accepted_values', 'relationships', 'dbt_utils.accepted_range', 'dbt_utils.expression_is_true',
        'dbt_utils.not_accepted_values', 'dbt_utils.not_empty_string', 'dbt_utils.relationships_where',
        'dbt_expectations.expect_column_values_to_match_regex', 'dbt_expectations.expect_column_values_to_not_be_null',
        'dbt_expectations.expect_column_values_to_be_in_set', 'dbt_expectations.expect_column_values_to_be_between',
        'dbt_expectations.expect_column_pair_values_A_to_be_greater_than_B'
    ] -%}
    {%- if not test.test_metadata or test.config.get('enabled') is false -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set declared = test.config.meta.get('row_wise') -%}
    {%- if declared is boolean -%}
        {{ return(declared) }}
    {%- endif -%}
    {%- set namespace = test.test_metadata.namespace -%}
    {%- set name = (namespace ~ '.' if namespace else '') ~ test.test_metadata.name -%}
    {#- A group is no row, nor is a sample that --store-failures keeps. -#}
    {{ return(name in known and not test.test_metadata.kwargs.get('group_by_columns') and not test.config.get('store_failures')) }}
{%- endmacro %}
