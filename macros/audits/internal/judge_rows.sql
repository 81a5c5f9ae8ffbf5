{% macro passed_tests(tests, rows) -%}
    {#- The tests that no row fails; one that must not fail stops the model. -#}
    {%- if not tests -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set results = results_of_tests(tests, rows) -%}
    {%- do judge_rows(tests, results, rows) -%}
    {%- set passed = [] -%}
    {%- for test in tests if results[test.unique_id]['failures'] == 0 -%}
        {%- do passed.append(test) -%}
    {%- endfor -%}
    {%- do log(model.name ~ ': asked ' ~ tests | length ~ ' tests of ' ~ rows ~ ' in one query.', info=false) -%}
    {{ return(passed) }}
{%- endmacro %}


{% macro results_of_tests(tests, rows) -%}
    {#- One query for all tests: failures, should_warn and should_error by the name of the test. -#}
    {%- set queries = [] -%}
    {%- for test in tests -%}
        {%- do queries.append(
            'select ' ~ postgres_escape_comment(test.unique_id) ~ ' as test_id, failures, should_warn, should_error from ('
            ~ query_of_test(test, rows) ~ ') as asked'
        ) -%}
    {%- endfor -%}
    {%- set results = {} -%}
    {%- for row in run_query(('analyze ' ~ rows ~ '; ' if rows in ['written_rows', 'loaded_rows']) ~ queries | join('\nunion all\n')) -%}
        {%- do results.update({row['test_id']: row}) -%}
    {%- endfor -%}
    {{ return(results) }}
{%- endmacro %}


{% macro judge_rows(tests, results, rows) -%}
    {%- set errors = [] -%}
    {#-
        A table beside this one may get the missing rows later in the build: dbt's own node of the test says. What a staging view refers
        to has them already: seeds do not change in such a build, and other views show what is loaded.
    -#}
    {%- for test in tests if results[test.unique_id]['failures'] > 0 and (is_staged(model) or place_of_parent(test) == 'below') -%}
        {%- set failures = results[test.unique_id]['failures'] | int -%}
        {%- set said = '- ' ~ test.name ~ ': got ' ~ failures ~ (' result' if failures == 1 else ' results') -%}
        {%- set percent = test.config.meta.get('error_above_percent') -%}
        {%- if percent is not none and failures * 100 > percent * run_query('select count(*) from ' ~ rows)[0][0] -%}
            {%- do errors.append(said ~ ', configured to fail above ' ~ percent ~ ' % of the rows of a run' ~ failing_keys(test, rows)) -%}
        {%- elif test.config.severity | lower == 'error' and is_error(test, results[test.unique_id]) -%}
            {%- do errors.append(said ~ ', configured to fail if ' ~ test.config.error_if ~ failing_keys(test, rows)) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if errors -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ': '
            ~ {'written_rows': 'the rows of this run', 'loaded_rows': 'the rows that were loaded since its tests last passed'}.get(rows, 'its rows')
            ~ ' fail ' ~ errors | length ~ (' data test' if errors | length == 1 else ' data tests')
            ~ (', so nothing was written' if rows != 'loaded_rows' and model.config.materialized != 'view') ~ '.\n' ~ errors | join('\n')
        ) }}
    {%- endif -%}
{%- endmacro %}


{% macro is_error(test, result) -%}
    {#- dbt counts the failing rows of the whole table. -#}
    {{ return(result['should_error'] if test.config.error_if == '!= 0' else run_query(query_of_test(test, this))[0]['should_error']) }}
{%- endmacro %}


{% macro failing_keys(test, rows) -%}
    {#- At most five keys. A test returns whole rows, or values of its column, or nothing that tells. -#}
    {%- set keys = as_list(config.get('unique_key') or key_of_source(model)) -%}
    {%- set failing = failing_rows_of_test(test, rows) -%}
    {%- if not keys -%}
        {{ return('') }}
    {%- endif -%}
    {%- set column = test.test_metadata.kwargs.get('column_name') -%}
    {%- set returned = get_columns_in_query(failing) -%}
    {%- if not missing_columns(keys, returned) -%}
        {%- set query = 'select ' ~ keys | join(', ') ~ ' from (' ~ failing ~ ') as failing limit 5' -%}
    {%- elif test.test_metadata.name == 'expression_is_true' -%}
        {%- set query = 'select ' ~ keys | join(', ') ~ ' from ' ~ rows ~ ' where not (' ~ (column or '') ~ ' ' ~ test.test_metadata.kwargs.expression ~ ') limit 5' -%}
    {%- elif column and returned | length <= 2 -%}
        {%- set query -%}
            select {{ keys | join(', ') }}
            from {{ rows }} as judged
            where exists (
                select from ({{ failing }}) as failing (failing_value) where failing_value is not distinct from judged.{{ column }}
            )
            limit 5
        {%- endset -%}
    {%- else -%}
        {{ return('') }}
    {%- endif -%}
    {%- set found = [] -%}
    {%- for row in run_query(query) -%}
        {%- do found.append(row.values() | join(', ')) -%}
    {%- endfor -%}
    {{ return('; ' ~ keys | join(', ') ~ ': ' ~ found | join('; ') if found else '') }}
{%- endmacro %}
