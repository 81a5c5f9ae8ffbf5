{% macro record_scores() -%}
    {#- Of the latest result of each check that the project has: a run may have asked a part of them. Returns the score of the warehouse. -#}
    {%- set tests = [] -%}
    {%- for unique_id in graph.nodes if unique_id.startswith('test.') -%}
        {%- do tests.append(unique_id) -%}
    {%- endfor -%}
    {%- set results = state_relation('run_results') -%}
    {%- set query -%}
        with

        checks as (
            select latest.*
            from unnest(array[{{ quoted_texts(tests) }}]::text[]) as known (node_id)
            inner join lateral (
                select *
                from {{ results }} as results
                where results.node_id = known.node_id and results.status in ('pass', 'warn', 'fail', 'error') and results.finished_at <= now()
                order by results.finished_at desc
                limit 1
            ) as latest on true
            union all
            select rules.*
            from {{ results }} as rules
            where rules.resource_type = 'rule' and rules.invocation_id = (
                select invocation_id from {{ results }} where resource_type = 'rule' and finished_at <= now() order by finished_at desc limit 1
            )
        ),

        scored as (
            select *, {{ score_of_check('checks') }} as check_score
            from checks
            where weight > 0
        ),

        scores as (
            insert into {{ state_relation('quality_scores') }} as held (
                invocation_id, scored_at, scope, name, score, checks, rows_judged, failing_rows
            )
            select
                '{{ invocation_id }}',
                now(),
                case when grouping(dimension) = 0 then 'dimension' when grouping(model_name) = 0 then 'model' else 'warehouse' end as scope,
                coalesce(dimension, model_name, '(all)'),
                round(100 * sum(weight * check_score) / sum(weight), 4),
                count(*),
                coalesce(sum(rows_judged) filter (where counts_rows), 0),
                coalesce(sum(failing_rows) filter (where counts_rows), 0)
            from scored
            group by grouping sets ((), (dimension), (model_name))
            having count(*) > 0 and not (grouping(model_name) = 0 and model_name is null)
            returning scope, score
        )

        update {{ state_relation('runs') }}
        set quality_score = (select score from scores where scope = 'warehouse')
        where invocation_id = '{{ invocation_id }}'
        returning quality_score
    {%- endset -%}
    {{ return(run_query(query)[0][0]) }}
{%- endmacro %}


{% macro score_of_check(check) -%}
    {#- From 0 to 1. A test whose failures are not rows of its table passes, warns or fails as a whole. -#}
    case
        when {{ check }}.status = 'error' then 0
        when {{ check }}.counts_rows and {{ check }}.failing_rows = 0 then 1
        when {{ check }}.counts_rows then 1 - least(1, {{ check }}.failing_rows / nullif({{ check }}.rows_judged, 0)::numeric)
        when {{ check }}.status = 'pass' then 1
        when {{ check }}.status = 'warn' then 0.5
        else 0
    end
{%- endmacro %}
