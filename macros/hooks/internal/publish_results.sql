{% macro publish_results(results) -%}
    {%- do run_query(create_partitions_of_results(state_relation('run_results'))) -%}
    {%- do record_results(results) -%}
    {%- do run_query('update ' ~ state_relation('source_volumes') ~ " set is_passed = true where invocation_id = '" ~ invocation_id ~ "'") -%}
    {%- set score = record_scores() -%}
    {%- do run_query(prune_results()) -%}
    {%- set refused = publish_if_good() if flags.WHICH in ['build', 'run', 'test'] else [] -%}
    {%- if refused -%}
        {%- do run_query(
            'update ' ~ state_relation('runs') ~ ' set not_published_because = ' ~ quoted_texts([refused | join('; ')])
            ~ (", status = 'failure'" if is_gate_closed(refused))
            ~ " where invocation_id = '" ~ invocation_id ~ "'"
        ) -%}
        {%- do log(not_published(refused), info=not is_gate_closed(refused)) -%}
    {%- elif candidates_of_project() and flags.WHICH in ['build', 'run', 'test'] -%}
        {%- do log(
            'Published to ' ~ generate_schema_name('reporting', none) ~ (', with a quality score of ' ~ score | round(2) if score is not none) ~ '.', info=true
        ) -%}
    {%- endif -%}
    {{ return(refused) }}
{%- endmacro %}


{% macro is_gate_closed(refused) -%}
    {#- A low score fails the run. Whatever else keeps tables back has failed it already, or is the choice of who runs a part. -#}
    {{ return('quality score' in refused | join) }}
{%- endmacro %}
