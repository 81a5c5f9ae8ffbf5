{% macro publish_results(results) -%}
    {%- do run_query(create_partitions_of_results(state_relation('run_results'))) -%}
    {%- do record_results(results) -%}
    {%- do run_query('update ' ~ state_relation('source_volumes') ~ " set is_passed = true where invocation_id = '" ~ invocation_id ~ "'") -%}
    {%- set score = record_scores() -%}
    {%- do run_query(prune_results()) -%}
    {%- if flags.WHICH not in ['build', 'run', 'test'] -%}
        {{ return(none) }}
    {%- endif -%}
    {#- What an error in the publication leaves behind. -#}
    {%- do run_query(end_of_publication("'the publication failed'", has_failed=true)) -%}
    {%- set refused = publish_if_good() -%}
    {%- do run_query(end_of_publication(
        quoted_texts([refused.reasons | join('; ')]) if refused.reasons else 'null', has_failed=refused.is_score_low
    )) -%}
    {%- if refused.reasons -%}
        {%- do log(not_published(refused), info=not refused.is_score_low and not refused.awaits_second_step) -%}
    {%- elif candidates_of_project() -%}
        {%- do log(
            'Published to ' ~ generate_schema_name('reporting', none) ~ (', with a quality score of ' ~ score | round(2) if score is not none) ~ '.', info=true
        ) -%}
    {%- endif -%}
    {{ return(refused) }}
{%- endmacro %}


{% macro end_of_publication(reason, has_failed) -%}
    update {{ state_relation('runs') }}
    set
        not_published_because = {{ reason }},
        status = case
            when invocation_id != '{{ invocation_id }}' then status
            when {{ 'true' if has_failed else 'failed_count > 0' }} then 'failure'
            else 'success'
        end
    where invocation_id in ({{ quoted_texts(invocations_of_build()) }})
{%- endmacro %}
