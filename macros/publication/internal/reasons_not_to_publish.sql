{% macro reasons_not_to_publish(candidates) -%}
    {#-
        Everything that the published tables show was built, passed its tests since, and the quality score is high enough. A low score
        fails the run. Whatever else keeps tables back has failed it already, or is the choice of who runs a part.
    -#}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set read = [] -%}
    {%- for candidate in candidates -%}
        {%- do read.append(candidate.unique_id) -%}
        {%- do add_ancestors(candidate.unique_id, read) -%}
    {%- endfor -%}
    {%- set read = read | unique | list -%}
    {%- set built, tests = [], [] -%}
    {%- for unique_id in read + readers_of(candidates) if nodes[unique_id].config.materialized != 'ephemeral' -%}
        {#- A candidate has watermarks too: those of the publication. -#}
        {%- set is_table = nodes[unique_id].config.materialized in ['incremental', 'snapshot', 'table', 'materialized_view'] -%}
        {%- do built.append({
            'node_id': unique_id, 'state_name': state_name({'unique_id': unique_id}) if is_table else none, 'is_table': is_table,
            'is_snapshot': unique_id.startswith('snapshot.'),
        }) -%}
    {%- endfor -%}
    {%- set judged = read + sources_of(read) -%}
    {#- A test that was left out and is not known to pass any more is asked in a second step, and the score counts it. -#}
    {%- for unique_id in nodes if unique_id.startswith('test.') and (
        nodes[unique_id].config.severity | lower == 'error' or leaves_tests_out() and unique_id not in selected_resources
    ) -%}
        {%- for node_id in nodes[unique_id].depends_on.nodes if node_id in judged -%}
            {%- do tests.append({'test_id': unique_id, 'node_id': node_id}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set found = run_query(query_of_judgement(built, tests))[0] -%}
    {%- set reasons = [] -%}
    {#- What has to be mended comes first. -#}
    {%- for what, names in [
        ('data tests of severity error that fail', found['failing_tests']),
        ('failed, skipped or never built', found['failed']),
        ('reading tables from before a change of their columns', found['stale_views']),
        ('not built since the last publication', found['left_out']),
        ('built by another run than the last (build everything, or run warehouse publish)',
            found['of_other_runs'] if flags.WHICH != 'run-operation' else none),
        ('data tests not asked since their tables were built', found['unasked_tests'] if not var('publish_untested') else none),
    ] if names -%}
        {%- set names = fromjson(names) -%}
        {%- do reasons.append(what ~ ': ' ~ names[:5] | join(', ') ~ (' and ' ~ (names | length - 5) ~ ' more' if names | length > 5)) -%}
    {%- endfor -%}
    {%- set score, least = found['quality_score'], min_quality_score() -%}
    {%- set is_score_low = not reasons and score is not none and score < least -%}
    {%- if is_score_low -%}
        {%- do reasons.append(
            'the quality score is ' ~ score | round(2) ~ ', and at least ' ~ least
            ~ ' is needed (variable min_quality_score, or warehouse build --min-score); ' ~ state_relation('quality_scores').include(database=false) ~ ' says why'
        ) -%}
    {%- endif -%}
    {{ return({
        'reasons': reasons,
        'is_score_low': is_score_low,
        'awaits_second_step': leaves_tests_out() and reasons | length == 1 and reasons[0].startswith('data tests not asked'),
    }) }}
{%- endmacro %}


{% macro readers_of(candidates) -%}
    {#- The reporting views. One that failed shows what it showed before, beside others that do not. -#}
    {%- set ids = candidates | map(attribute='unique_id') | list -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set readers = [] -%}
    {%- for unique_id in nodes if unique_id.startswith('model.') -%}
        {%- for node_id in nodes[unique_id].depends_on.nodes if node_id in ids and unique_id not in readers -%}
            {%- do readers.append(unique_id) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(readers) }}
{%- endmacro %}


{% macro sources_of(unique_ids) -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set sources = [] -%}
    {%- for unique_id in unique_ids -%}
        {%- for node_id in nodes[unique_id].depends_on.nodes if node_id.startswith('source.') and node_id not in sources -%}
            {%- do sources.append(node_id) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(sources) }}
{%- endmacro %}


{% macro query_of_judgement(built, tests) -%}
    {%- set results = state_relation('run_results') %}
    with

    built as (
        select
            node.node_id,
            node.is_table,
            node.is_snapshot,
            latest.status,
            latest.invocation_id,
            greatest(
                (
                    select max(results.finished_at) from {{ results }} as results
                    where results.node_id = node.node_id and results.status = 'success' and results.finished_at <= now()
                ),
                (select max(advanced_at) from {{ state_relation('watermarks') }} where model_name = node.state_name)
            ) as built_at
        from jsonb_to_recordset({{ quoted_texts([tojson(built)]) }}) as node (
            node_id text, state_name text, is_table boolean, is_snapshot boolean
        )
        left join lateral (
            select results.status, results.invocation_id from {{ results }} as results
            where results.node_id = node.node_id and results.finished_at <= now()
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
        select tests.test_id, latest.status, latest.started_at
        from (select distinct test_id from reads) as tests
        left join lateral (
            select results.status, results.started_at from {{ results }} as results
            where results.node_id = tests.test_id and results.status in ('pass', 'warn', 'fail', 'error') and results.finished_at <= now()
            order by results.finished_at desc
            limit 1
        ) as latest on true
    ),

    {#- Snapshots may be taken by a command of their own. A table that another run built shows another day. -#}
    of_other_runs as (
        select node_id
        from built
        where is_table and not is_snapshot and invocation_id != (
            select invocation_id from built where is_table and not is_snapshot and status = 'success' order by built_at desc nulls last limit 1
        )
    ),

    unasked as (
        select distinct reads.test_id
        from reads
        inner join asked on reads.test_id = asked.test_id
        inner join built on reads.node_id = built.node_id
        where asked.started_at is null or asked.started_at < built.built_at
    )

    select
        (select json_agg(split_part(node_id, '.', 3) order by node_id) from built where status is distinct from 'success') as failed,
        (select json_agg(split_part(node_id, '.', 3) order by node_id) from left_out) as left_out,
        (
            select json_agg(split_part(test_id, '.', 3) order by test_id) from asked
            where status in ('fail', 'error')
                {{ 'and test_id not in (select test_id from unasked)' if var('publish_untested') }}
        ) as failing_tests,
        (select json_agg(split_part(test_id, '.', 3) order by test_id) from unasked) as unasked_tests,
        (select json_agg(split_part(node_id, '.', 3) order by node_id) from of_other_runs) as of_other_runs,
        (
            select json_agg(distinct views.oid::regclass::text)
            from pg_class as tables
            inner join pg_depend on tables.oid = pg_depend.refobjid and pg_depend.classid = 'pg_rewrite'::regclass
            inner join pg_rewrite on pg_depend.objid = pg_rewrite.oid
            inner join pg_class as views on pg_rewrite.ev_class = views.oid
            where tables.relname = '{{ name_before('') }}' || tables.oid
                and views.relnamespace = to_regnamespace({{ quoted_texts([generate_schema_name('reporting', none)]) }})
        ) as stale_views,
        (
            select quality_score from {{ state_relation('runs') }}
            where quality_score is not null
            order by finished_at desc
            limit 1
        ) as quality_score
{%- endmacro %}
