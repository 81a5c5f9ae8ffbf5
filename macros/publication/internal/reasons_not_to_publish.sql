{% macro reasons_not_to_publish(candidates) -%}
    {#- Everything that the published tables show was built, passed its tests since, and the quality score is high enough. -#}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set read = [] -%}
    {%- for candidate in candidates -%}
        {%- do read.append(candidate.unique_id) -%}
        {%- do add_ancestors(candidate.unique_id, read) -%}
    {%- endfor -%}
    {%- set built, tests = [], [] -%}
    {%- for unique_id in read | unique if nodes[unique_id].config.materialized != 'ephemeral' -%}
        {#- A candidate has watermarks too: those of the publication. -#}
        {%- set is_table = nodes[unique_id].config.materialized in ['incremental', 'snapshot', 'table', 'materialized_view'] -%}
        {%- do built.append({
            'node_id': unique_id, 'state_name': state_name({'unique_id': unique_id}) if is_table else none, 'is_table': is_table
        }) -%}
    {%- endfor -%}
    {%- for unique_id in nodes if not var('publish_untested') and unique_id.startswith('test.') and nodes[unique_id].config.severity | lower == 'error' -%}
        {%- for node_id in nodes[unique_id].depends_on.nodes if node_id in read -%}
            {%- do tests.append({'test_id': unique_id, 'node_id': node_id}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set found = run_query(query_of_judgement(built, tests))[0] -%}
    {%- set reasons = [] -%}
    {%- for names, what in [
        (found['failed'], 'failed, were skipped or were never built'),
        (found['left_out'], 'were not built since the last publication, although other tables were'),
        (found['failing_tests'], 'are data tests of severity error that fail'),
        (found['unasked_tests'], 'are data tests that were not asked since their tables were built (dbt test asks them)')
    ] if names -%}
        {%- set names = fromjson(names) -%}
        {%- do reasons.append(names[:5] | join(', ') ~ (' and ' ~ (names | length - 5) ~ ' more' if names | length > 5) ~ ' ' ~ what) -%}
    {%- endfor -%}
    {%- set score, least = found['quality_score'], min_quality_score() -%}
    {%- if not reasons and score is not none and score < least -%}
        {%- do reasons.append(
            'the quality score is ' ~ score | round(2) ~ ', and at least ' ~ least
            ~ ' is needed (variable min_quality_score, or warehouse build --min-score); ' ~ state_relation('quality_scores').include(database=false) ~ ' says why'
        ) -%}
    {%- endif -%}
    {{ return(reasons) }}
{%- endmacro %}


{% macro query_of_judgement(built, tests) -%}
    {%- set results = state_relation('run_results') %}
    with

    built as (
        select
            node.node_id,
            node.is_table,
            latest.status,
            greatest(
                (
                    select max(results.finished_at) from {{ results }} as results
                    where results.node_id = node.node_id and results.status = 'success'
                ),
                (select max(advanced_at) from {{ state_relation('watermarks') }} where model_name = node.state_name)
            ) as built_at
        from jsonb_to_recordset({{ quoted_texts([tojson(built)]) }}) as node (node_id text, state_name text, is_table boolean)
        left join lateral (
            select results.status from {{ results }} as results
            where results.node_id = node.node_id
            order by results.finished_at desc
            limit 1
        ) as latest on true
    ),

    {#- A part of the tables would be shown beside older ones. -#}
    left_out as (
        select node_id
        from built
        cross join (select max(published_at) as published_at from {{ state_relation('publications') }}) as last
        where is_table and built_at <= published_at
            and exists (select from built as others where others.is_table and others.built_at > last.published_at)
    ),

    reads as (
        select * from jsonb_to_recordset({{ quoted_texts([tojson(tests)]) }}) as reads (test_id text, node_id text)
    ),

    asked as (
        select tests.test_id, latest.status, latest.finished_at
        from (select distinct test_id from reads) as tests
        left join lateral (
            select results.status, results.finished_at from {{ results }} as results
            where results.node_id = tests.test_id and results.status in ('pass', 'warn', 'fail', 'error')
            order by results.finished_at desc
            limit 1
        ) as latest on true
    ),

    unasked as (
        select distinct reads.test_id
        from reads
        inner join asked on reads.test_id = asked.test_id
        inner join built on reads.node_id = built.node_id
        where asked.finished_at is null or asked.finished_at < built.built_at
    )

    select
        (select json_agg(split_part(node_id, '.', 3) order by node_id) from built where status is distinct from 'success') as failed,
        (select json_agg(split_part(node_id, '.', 3) order by node_id) from left_out) as left_out,
        (
            select json_agg(split_part(test_id, '.', 3) order by test_id) from asked where status in ('fail', 'error')
        ) as failing_tests,
        (select json_agg(split_part(test_id, '.', 3) order by test_id) from unasked) as unasked_tests,
        (
            select quality_score from {{ state_relation('runs') }}
            where quality_score is not null
            order by finished_at desc
            limit 1
        ) as quality_score
{%- endmacro %}
