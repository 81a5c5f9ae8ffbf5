{% macro after_run(results=[]) -%}
    {%- do reconcile_foreign_keys_of_tests() -%}
    {%- set refused = publish_results(results) if execute and results and may_record_results() else none -%}
    {%- if refused and refused.is_score_low -%}
        {#- Pruned first, because the failure rolls back what is executed with it. dbt fails, and still reports its nodes. -#}
        {%- do run_query(prune_changed_keys() | trim or 'select 1') -%}
        do $gate$ begin raise exception using message = {{ quoted_texts([not_published(refused)]) }}; end $gate$
    {%- else -%}
        {{ prune_changed_keys() }}
    {%- endif -%}
{%- endmacro %}
