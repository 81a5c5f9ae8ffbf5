{% macro tests_of_run() -%}
    {#- dbt builds a dictionary for each access to a node of the graph, but not for one to what the graph shows. -#}
    {%- set tests = [] -%}
    {%- if execute and flags.WHICH == 'build' and not flags.EMPTY and not is_sample() -%}
        {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
        {%- for unique_id in (nodes if leaves_tests_out() else selected_resources) if unique_id.startswith('test.') -%}
            {%- if nodes[unique_id].attached_node == model.unique_id -%}
                {%- set test = graph.nodes[unique_id] -%}
                {%- if is_audited(test) and place_of_parent(test) != 'above' -%}
                    {%- do tests.append(test) -%}
                {%- endif -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(tests) }}
{%- endmacro %}


{% macro leaves_tests_out() -%}
    {#- `warehouse build` selects no test of which it knows that it passes, unless a model finds a row that does not. -#}
    {{ return(env_var('WAREHOUSE_TESTS_LEFT_OUT', '') == '1' and flags.WHICH == 'build') }}
{%- endmacro %}


{% macro is_audited(test) -%}
    {#- Of a key, the rows of the keys that are written are asked. -#}
    {%- set is_unique = test.test_metadata and test.test_metadata.name == 'unique' and not test.config.get('store_failures') -%}
    {{ return(is_unique or is_row_wise(test)) }}
{%- endmacro %}


{% macro is_row_wise(test) -%}
    {#- Whether a row passes or fails whatever other rows there are, and whenever it is asked. -#}
    {%- set known = row_wise_tests() -%}
    {%- if not test.test_metadata or test.config.get('store_failures') -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set declared = test.config.meta.get('row_wise') -%}
    {%- if declared is boolean -%}
        {{ return(declared) }}
    {%- endif -%}
    {%- set words = tojson(test.test_metadata.kwargs) ~ ' ' ~ test.config.get('where') -%}
    {%- set depends_on_others = modules.re.search('(?i)\\bselect\\b|\\bover\\s*\\(|group_by_columns', words) -%}
    {%- set depends_on_time = modules.re.search('(?i)\\b(now|current_\\w+|localtime\\w*|\\w+_timestamp)\\s*\\(|\\b(current_date|current_timestamp)\\b|as_of|random', words) -%}
    {{ return(test.test_metadata.name in known.get(test.test_metadata.namespace or '', []) and not depends_on_others and not depends_on_time) }}
{%- endmacro %}


{% macro row_wise_tests() -%}
    {{ return({
        '': ['not_null', 'accepted_values', 'relationships'],
        'dbt_utils': ['accepted_range', 'expression_is_true', 'not_accepted_values', 'not_empty_string'],
        'dbt_expectations': [
            'expect_column_values_to_match_regex', 'expect_column_values_to_not_be_null', 'expect_column_values_to_be_in_set',
            'expect_column_values_to_be_between', 'expect_column_pair_values_A_to_be_greater_than_B'
        ]
    }) }}
{%- endmacro %}


{% macro place_of_parent(test) -%}
    {#- Where the table that a test refers to stands: below (built before, or none), beside, or above the table of the test. -#}
    {%- if 'to' not in test.test_metadata.kwargs -%}
        {{ return('below') }}
    {%- endif -%}
    {%- set below = [test.attached_node] -%}
    {%- do add_ancestors(test.attached_node, below) -%}
    {%- for unique_id in test.depends_on.nodes if unique_id not in below -%}
        {%- set found = [] -%}
        {%- do add_ancestors(unique_id, found) -%}
        {{ return('above' if test.attached_node in found else 'beside') }}
    {%- endfor -%}
    {{ return('below') }}
{%- endmacro %}


{% macro add_ancestors(unique_id, found) -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- for parent in nodes[unique_id].depends_on.nodes if parent in nodes and parent not in found and not parent.startswith('source.') -%}
        {%- do found.append(parent) -%}
        {%- do add_ancestors(parent, found) -%}
    {%- endfor -%}
{%- endmacro %}
