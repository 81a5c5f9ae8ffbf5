{% macro results_left_out() -%}
    {#- A row per test that the run left out and that is still known to pass, as is_known_to_pass asks for one test. -#}
    {%- set tests = [] -%}
    {%- for unique_id in graph.nodes if unique_id.startswith('test.') and unique_id not in selected_resources -%}
        {%- do tests.append(unique_id) -%}
    {%- endfor -%}
    {%- set tables = [] -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- for unique_id in nodes if unique_id.startswith('model.') and logs_changed_keys(nodes[unique_id]) -%}
        {%- do tables.append(nodes[unique_id]) -%}
    {%- endfor %}
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
        latest.rows_judged,
        0,
        null,
        0,
        now(),
        now()
    from {{ state_relation('audited_tests') }} as held
    inner join (
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
    ) as child on held.model_name = child.model_name
    left join (
        select
            model_name,
            losses,
            case model_name
                {%- for node in tables %}
                when '{{ state_name(node) }}' then {{ is_as_left(node) }}
                {%- endfor %}
            end as is_as_left
        from {{ state_relation('audited_tables') }}
    ) as parent on held.parent_name = parent.model_name
    cross join lateral (
        select *
        from {{ state_relation('run_results') }} as results
        where results.node_id = held.test_name and results.status in ('pass', 'warn', 'fail', 'error')
        order by results.finished_at desc
        limit 1
    ) as latest
    where held.test_name in ({{ quoted_texts(tests) or 'null' }})
        and (held.epoch, held.writes) = (child.epoch, child.writes)
        and child.is_as_left
        and (held.parent_name is null or held.parent_losses = parent.losses and parent.is_as_left)
        and {{ is_recent('held.passed_whole_at') }}
{%- endmacro %}
