{% macro publish_results(results) -%}
    {%- do run_query(create_partitions_of_results(state_relation('run_results'))) -%}
    {%- do record_results(results) -%}
    {%- do run_query('update ' ~ state_relation('source_volumes') ~ " set is_passed = true where invocation_id = '" ~ invocation_id ~ "'") -%}
    {%- set score = record_scores() -%}
    {%- do run_query(prune_results()) -%}
    {%- set refused = publish_if_good() if flags.WHICH in ['build', 'run', 'test'] else none -%}
    {%- if refused and refused.reasons -%}
        {%- do run_query(
            'update ' ~ state_relation('runs') ~ ' set not_published_because = ' ~ quoted_texts([refused.reasons | join('; ')])
            ~ (", status = 'failure'" if refused.is_score_low)
            ~ " where invocation_id = '" ~ invocation_id ~ "'"
        ) -%}
        {%- do log(not_published(refused), info=not refused.is_score_low) -%}
    {%- elif refused and candidates_of_project() -%}
        {%- do log(
            'Published to ' ~ generate_schema_name('reporting', none) ~ (', with a quality score of ' ~ score | round(2) if score is not none) ~ '.', info=true
        ) -%}
    {%- endif -%}
    {{ return(refused) }}
{%- endmacro %}
