{% materialization test, adapter='postgres' %}
    {#- dbt's own, except that a build does not ask again what its models asked of each row when they wrote it. -#}
    {%- set nodes = audited_nodes(model) if may_be_known() else none -%}
    {%- if nodes and not flags.FULL_REFRESH and is_known_to_pass(model, nodes) -%}
        {%- do log(model.name ~ ': not read again, because every row passed when it was written.', info=false) -%}
        {%- call statement('main', fetch_result=true) -%}
            select 0 as failures, false as should_warn, false as should_error
        {%- endcall -%}
        {{ return({'relations': []}) }}
    {%- endif -%}

    {%- set state = state_before_test(nodes) if nodes -%}
    {%- set relations = dbt.materialization_test_default() -%}
    {%- if nodes and load_result('main')['table'].rows[0]['failures'] == 0 -%}
        {%- do record_whole_pass(model, nodes, state) -%}
    {%- endif -%}
    {{ return(relations) }}
{% endmaterialization %}


{% macro may_be_known() -%}
    {#- With --defer, --sample and --empty a test may read other rows than its table has. -#}
    {{ return(
        flags.WHICH == 'build' and model.attached_node and not flags.DEFER and not flags.EMPTY and not is_sample()
        and not should_store_failures() and is_row_wise(model)
    ) }}
{%- endmacro %}
