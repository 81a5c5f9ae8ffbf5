{% materialization test, adapter='postgres' %}
    {#- dbt's own, except that a build does not ask again what its models asked of each row when they wrote it. -#}
    {%- set guarantee = guarantee_of(model) if may_record_test() -%}
    {%- if guarantee -%}
        {%- do log(model.name ~ ': not asked, because ' ~ guarantee ~ ' guarantees it.', info=false) -%}
        {{ return(passed_test()) }}
    {%- endif -%}

    {%- set nodes = audited_nodes(model) if may_record_test() and model.attached_node and is_audited(model) else none -%}
    {%- if nodes and not flags.FULL_REFRESH and is_known_to_pass(model, nodes) -%}
        {%- do log(model.name ~ ': not read again, because every row passed when it was written.', info=false) -%}
        {{ return(passed_test()) }}
    {%- endif -%}

    {%- set state = state_before_test(nodes) if nodes -%}
    {%- set asks_of_keys = follows_tables(model) -%}
    {%- set relations = dbt.materialization_test_default() -%}
    {%- set found = load_result('main')['table'].rows[0] -%}
    {#- A threshold may demand failures. -#}
    {%- if found['failures'] == 0 and not found['should_warn'] and not found['should_error'] -%}
        {%- if asks_of_keys -%}
            {%- do record_tested_tables() -%}
        {%- elif nodes -%}
            {%- do record_whole_pass(model, nodes, state) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(relations) }}
{% endmaterialization %}


{% macro passed_test() -%}
    {%- call statement('main', fetch_result=true) -%}
        {#- A threshold may demand failures. -#}
        select 0 as failures, 0 {{ config.get('warn_if') }} as should_warn, 0 {{ config.get('error_if') }} as should_error
    {%- endcall -%}
    {{ return({'relations': []}) }}
{%- endmacro %}


{% macro postgres__get_where_subquery(relation) -%}
    {%- set conditions = [] -%}
    {%- set changed = rows_to_test(relation) -%}
    {%- for condition in [config.get('where'), changed] if condition -%}
        {%- do conditions.append('(' ~ condition ~ ')') -%}
    {%- endfor -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ conditions | join(' and ') ~ ') dbt_subquery' if conditions else relation) }}
{%- endmacro %}
