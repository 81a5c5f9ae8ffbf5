{% macro tests_of_run() -%}
    {%- set tests = [] -%}
    {%- if execute and flags.WHICH == 'build' and not flags.EMPTY and not is_sample() -%}
        {%- for unique_id in tests_of_model() if leaves_tests_out() or unique_id in selected_resources -%}
            {%- set test = graph.nodes[unique_id] -%}
            {%- if is_audited(test) and place_of_parent(test) != 'above' and is_parent_in_this_target(test) -%}
                {%- do tests.append(test) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(tests) }}
{%- endmacro %}


{% macro tests_of_model() -%}
    {#- dbt builds a dictionary for each access to a node of the graph, but not for one to what the graph shows. -#}
    {{ return(
        (graph.nodes.inner_dict or graph.nodes).values()
        | selectattr('attached_node', 'equalto', model.unique_id) | map(attribute='unique_id') | list
    ) }}
{%- endmacro %}


{% macro leaves_tests_out() -%}
    {#- `warehouse build` selects no test of which it knows that it passes, unless a model finds a row that does not. -#}
    {{ return(env_var('WAREHOUSE_TESTS_LEFT_OUT', '') == '1' and flags.WHICH == 'build') }}
{%- endmacro %}


{% macro is_audited(test) -%}
    {#- Of a key, the rows of the keys that are written are asked. What is no number of rows does not add up. -#}
    {%- if not test.test_metadata or test.config.get('store_failures') or test.config.fail_calc != 'count(*)' -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set is_unique = test.test_metadata.name == 'unique' -%}
    {{ return(has_usual_query(test) and not depends_on_more_than_a_row(test) if is_unique else is_row_wise(test)) }}
{%- endmacro %}


{% macro is_row_wise(test) -%}
    {#- Whether a row passes or fails whatever other rows there are, and whenever it is asked. -#}
    {%- set known = row_wise_tests() -%}
    {%- set declared = test.config.meta.get('row_wise') -%}
    {%- if declared is boolean -%}
        {{ return(declared) }}
    {%- endif -%}
    {{ return(
        test.test_metadata.name in known.get(test.test_metadata.namespace or 'dbt', [])
        and has_usual_query(test) and not depends_on_more_than_a_row(test)
    ) }}
{%- endmacro %}


{% macro has_usual_query(test) -%}
    {#- Whether it is the test of dbt or of the package, not one of the same name. -#}
    {%- set name = test.test_metadata.name -%}
    {%- set implementation = context.get('postgres__test_' ~ name) or context.get('default__test_' ~ name) -%}
    {{ return(
        'macro.' ~ (test.test_metadata.namespace or 'dbt') ~ '.test_' ~ name in test.depends_on.macros
        and (not implementation or implementation.macro.package_name != project_name)
    ) }}
{%- endmacro %}


{% macro depends_on_more_than_a_row(test) -%}
    {#- On other rows, the time, or the session. A list that Jinja computes is known to dbt only. -#}
    {%- set words = [test.config.get('where') or ''] -%}
    {%- for name, value in test.test_metadata.kwargs.items() if name not in ['model', 'to'] -%}
        {%- set text = value if value is string else tojson(value) -%}
        {%- if name in ['values', 'value_set'] and value is string -%}
            {{ return(true) }}
        {%- endif -%}
        {%- do words.append(name ~ ' ' ~ (render(text) if '{{' in text else text)) -%}
    {%- endfor -%}
    {%- set words = words | join(' ') -%}
    {%- set of_others = '\\bselect\\b|\\btable\\b|\\bover\\s*\\(|group_by_columns|"\\s*\\(' -%}
    {%- set of_session = '\\bcurrent_\\w+|\\blocaltime\\w*|\\b(session_)?user\\b|\\bsystem_user\\b|[\'"](now|today|tomorrow|yesterday)[\'"]|as_of' -%}
    {%- if modules.re.search('(?i)' ~ of_others ~ '|' ~ of_session, words) -%}
        {{ return(true) }}
    {%- endif -%}
    {{ return(calls_unsteady_function(modules.re.findall('([a-z_][a-z0-9_$]*)\\s*\\(', words | lower) | unique | list)) }}
{%- endmacro %}


{% macro calls_unsteady_function(names) -%}
    {#- Whether a function of one of these names may return something else for the same row. Formats are the same in all sessions. -#}
    {%- set steady = [
        'and', 'or', 'not', 'in', 'is', 'then', 'when', 'else', 'case', 'between', 'any', 'all', 'cast', 'extract', 'abs', 'coalesce', 'round',
        'greatest', 'least', 'nullif', 'concat', 'concat_ws', 'format', 'to_char', 'to_date', 'to_timestamp', 'to_number', 'date_part',
        'date_trunc', 'timezone', 'make_timestamptz', 'to_json', 'to_jsonb', 'jsonb_build_object', 'jsonb_build_array', 'array_to_string'
    ] -%}
    {%- set others = names | reject('in', steady) | list -%}
    {{ return(others | length > 0 and run_query(
        "select exists (select from pg_proc where proname in ('" ~ others | join("', '") ~ "') and provolatile != 'i')"
    )[0][0]) }}
{%- endmacro %}


{% macro is_parent_in_this_target(test) -%}
    {#- An ephemeral model and a source have no table of their own here; with --defer, neither has what this run does not build. -#}
    {%- for unique_id in test.depends_on.nodes if unique_id != test.attached_node -%}
        {%- set node = graph.nodes.get(unique_id) -%}
        {%- if not node or node.config.materialized == 'ephemeral' or is_deferred() and unique_id not in selected_resources -%}
            {{ return(false) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(true) }}
{%- endmacro %}


{% macro row_wise_tests() -%}
    {{ return({
        'dbt': ['not_null', 'accepted_values', 'relationships'],
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
    {%- for parent in (nodes[unique_id].depends_on.nodes if unique_id in nodes else []) if parent in nodes and parent not in found and not parent.startswith('source.') -%}
        {%- do found.append(parent) -%}
        {%- do add_ancestors(parent, found) -%}
    {%- endfor -%}
{%- endmacro %}
