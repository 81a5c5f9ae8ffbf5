{% macro record_results(results) -%}
    {#- One statement: a run is recorded with all of its nodes, or not at all. -#}
    {%- set rows = rows_of_results(results) -%}
    {%- set counts = {'failed': 0, 'warned': 0, 'skipped': 0} -%}
    {%- for row in rows -%}
        {%- set kind = 'failed' if row.status in ['error', 'fail'] else {'warn': 'warned', 'skipped': 'skipped'}.get(row.status) -%}
        {%- if kind -%}
            {%- do counts.update({kind: counts[kind] + 1}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set query -%}
        with finished as (
            insert into {{ state_relation('runs') }} (
                invocation_id, command, target, started_at, finished_at, seconds, status, code,
                node_count, failed_count, warned_count, skipped_count
            )
            select
                '{{ invocation_id }}',
                '{{ flags.WHICH }}',
                {{ quoted_texts([target.name]) }},
                '{{ run_started_at }}',
                now(),
                extract(epoch from now() - '{{ run_started_at }}'),
                '{{ 'failure' if counts.failed else 'success' }}',
                nullif({{ quoted_texts([env_var('WAREHOUSE_CODE', '')]) }}, ''),
                {{ rows | length }}, {{ counts.failed }}, {{ counts.warned }}, {{ counts.skipped }}
        )

        insert into {{ state_relation('run_results') }} (
            invocation_id, node_id, node_name, resource_type, model_name, status, severity, dimension, weight, counts_rows,
            rows_judged, failing_rows, rows_written, seconds, started_at, finished_at
        )
        select
            '{{ invocation_id }}', node_id, node_name, resource_type, model_name, status, severity, dimension, weight, counts_rows,
            rows_judged, failing_rows, rows_written, seconds,
            coalesce(started_at + clocks.difference, now()),
            coalesce(finished_at + clocks.difference, now())
        from jsonb_to_recordset({{ quoted_texts([tojson(rows)]) }}) as result (
            node_id text, node_name text, resource_type text, model_name text, status text, severity text, dimension text,
            weight numeric, counts_rows boolean, rows_judged bigint, failing_rows bigint, rows_written bigint,
            seconds double precision, started_at timestamptz, finished_at timestamptz
        )
        {#- The clock of the server is that of the watermarks, with which publications compare. #}
        cross join (select clock_timestamp() - '{{ modules.datetime.datetime.now(modules.pytz.utc) }}'::timestamptz as difference) as clocks
        {{ 'union all ' ~ results_of_rules() if has_judged_rows(results) }}
        {{ 'union all ' ~ results_left_out(results) if leaves_tests_out() }}
    {%- endset -%}
    {%- do run_query(query) -%}
{%- endmacro %}


{% macro rows_of_results(results) -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set tested = [] -%}
    {%- for result in results if result.node and table_of_test(result.node) in nodes -%}
        {%- do tested.append(table_of_test(result.node)) -%}
    {%- endfor -%}
    {%- set row_counts = estimated_rows(tested | unique | list) -%}
    {%- set rows = [] -%}
    {%- for result in results if result.node and result.node.resource_type ~ '' in ['model', 'snapshot', 'seed', 'test', 'unit_test'] -%}
        {%- set node = result.node -%}
        {%- set is_test = node.resource_type ~ '' == 'test' -%}
        {%- set table = table_of_test(node) -%}
        {%- set written = result.adapter_response.get('rows_affected') if not is_test else none -%}
        {%- do rows.append({
            'node_id': node.unique_id,
            'node_name': node.name,
            'resource_type': node.resource_type ~ '',
            'model_name': (table or '').split('.')[-1] or none if is_test else node.name,
            'status': 'skipped' if is_test and asks_nothing(node) else result.status ~ '',
            'severity': node.config.severity | lower if is_test else none,
            'dimension': dimension_of_test(node) if is_test else none,
            'weight': weight_of_test(node) if is_test else none,
            'counts_rows': counts_rows(node) if is_test else none,
            'rows_judged': row_counts.get(table) if is_test else none,
            'failing_rows': result.failures if is_test else none,
            'rows_written': written | int if written is not none and written | int >= 0 else none,
            'seconds': result.execution_time,
            'started_at': result.timing[-1].started_at ~ '+00' if result.timing and result.timing[-1].started_at else none,
            'finished_at': result.timing[-1].completed_at ~ '+00' if result.timing and result.timing[-1].completed_at else none,
        }) -%}
    {%- endfor -%}
    {{ return(rows) }}
{%- endmacro %}


{% macro has_judged_rows(results) -%}
    {%- for result in results if result.node and result.node.name == 'int_row_issues' and result.status ~ '' == 'success' -%}
        {{ return(true) }}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}
