{% macro results_left_out(results) -%}
    {#- A row per test that the run left out and that is still known to pass. -#}
    {%- set tests = tests_not_selected() -%}
    {%- set row_counts = estimated_rows_of_tests(tests) %}
    select
        '{{ invocation_id }}',
        latest.node_id,
        latest.node_name,
        latest.resource_type,
        latest.model_name,
        'pass',
        latest.severity,
        latest.dimension,
        latest.weight,
        latest.counts_rows,
        coalesce(row_counts.row_count, latest.rows_judged),
        0,
        null,
        0,
        now(),
        now()
    from (
        {{ tests_of_written_rows() }}
        union
        select test_name
        from {{ state_relation('asked_tests') }}
        where invocation_id = '{{ invocation_id }}'
        union
        select unnest(array[{{ quoted_texts(tests_of_loaded_seeds(tests, results)) }}]::text[])
    ) as known
    cross join lateral (
        select *
        from {{ state_relation('run_results') }} as results
        where results.node_id = known.test_name and results.status in ('pass', 'warn', 'fail', 'error')
        order by results.finished_at desc
        limit 1
    ) as latest
    left join jsonb_to_recordset({{ quoted_texts([tojson(row_counts)]) }}) as row_counts (test_name text, row_count bigint)
        on known.test_name = row_counts.test_name
    where known.test_name in ({{ quoted_texts(tests) or 'null' }})
{%- endmacro %}


{% macro estimated_rows_of_tests(tests) -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set tables = {} -%}
    {%- for unique_id in tests if table_of_test(nodes[unique_id]) in nodes -%}
        {%- do tables.update({unique_id: table_of_test(nodes[unique_id])}) -%}
    {%- endfor -%}
    {%- set found = estimated_rows(tables.values() | unique | list) -%}
    {%- set row_counts = [] -%}
    {%- for unique_id, table in tables.items() -%}
        {%- do row_counts.append({'test_name': unique_id, 'row_count': found.get(table)}) -%}
    {%- endfor -%}
    {{ return(row_counts) }}
{%- endmacro %}


{% macro tests_not_selected() -%}
    {%- set tests = [] -%}
    {%- for unique_id in graph.nodes if unique_id.startswith('test.') and unique_id not in selected_resources -%}
        {%- do tests.append(unique_id) -%}
    {%- endfor -%}
    {{ return(tests) }}
{%- endmacro %}


{% macro tests_of_loaded_seeds(tests, results) -%}
    {#- Those that read nothing but seeds, which this run has loaded from their files. -#}
    {%- set loaded = [] -%}
    {%- for result in results if result.node and result.node.resource_type ~ '' == 'seed' and result.status ~ '' == 'success' -%}
        {%- do loaded.append(result.node.unique_id) -%}
    {%- endfor -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set found = [] -%}
    {%- for unique_id in tests -%}
        {%- set read = nodes[unique_id].depends_on.nodes -%}
        {%- if read and read | reject('in', loaded) | list | length == 0 -%}
            {%- do found.append(unique_id) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro tests_of_written_rows() -%}
    {#- A query of the tests that is_known_to_pass would know, by name. -#}
    {%- set tables = [] -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- for unique_id in nodes if unique_id.startswith('model.') and logs_changed_keys(nodes[unique_id]) -%}
        {%- do tables.append(nodes[unique_id]) -%}
    {%- endfor -%}
    {%- set audited -%}
        (
            select
                model_name,
                epoch,
                writes,
                losses,
                case model_name
                    {%- for node in tables %}
                    when '{{ state_name(node) }}' then {{ is_as_left(node) }}
                    {%- endfor %}
                end as is_as_left
            from {{ state_relation('audited_tables') }}
        )
    {%- endset %}
    select held.test_name
    from {{ state_relation('audited_tests') }} as held
    inner join {{ audited }} as child on held.model_name = child.model_name
    left join {{ audited }} as parent on held.parent_name = parent.model_name
    where (held.epoch, held.writes) = (child.epoch, child.writes)
        and child.is_as_left
        and (held.parent_name is null or held.parent_losses = parent.losses and parent.is_as_left)
        and {{ is_recent('held.passed_whole_at') }}
{%- endmacro %}
