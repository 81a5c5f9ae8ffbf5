{% materialization test, adapter='postgres' %}
    {#- dbt's own, except that a build does not ask again what its models asked of each row when they wrote it. -#}
    {%- set nodes = audited_nodes(model) if flags.WHICH == 'build' and not flags.FULL_REFRESH and model.attached_node and is_row_wise(model) else none -%}
    {%- if not nodes -%}
        {{ return(dbt.materialization_test_default()) }}
    {%- endif -%}
    {%- if is_known_to_pass(model, nodes) -%}
        {%- do log(model.name ~ ': not read again; every row passed when it was written.', info=false) -%}
        {%- call statement('main', fetch_result=true) -%}
            select 0 as failures, false as should_warn, false as should_error
        {%- endcall -%}
        {{ return({'relations': []}) }}
    {%- endif -%}
    {%- set state = state_before_test(nodes) -%}
    {%- set relations = dbt.materialization_test_default() -%}
    {%- if load_result('main')['table'].rows[0]['failures'] == 0 -%}
        {%- do record_whole_pass(model, nodes, state) -%}
    {%- endif -%}
    {{ return(relations) }}
{% endmaterialization %}
