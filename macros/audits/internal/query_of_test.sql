{% macro query_of_test(test, rows) -%}
    {#- dbt's own query of a generic test, of other rows: failures, should_warn, should_error. -#}
    {{ get_test_sql(
        failing_rows_of_test(test, rows), test.config.fail_calc, test.config.warn_if, test.config.error_if, test.config.get('limit')
    ) }}
{%- endmacro %}


{% macro failing_rows_of_test(test, rows) -%}
    {%- set arguments = {} -%}
    {%- for name, value in test.test_metadata.kwargs.items() if name not in ['model', 'config', 'name', 'description'] -%}
        {%- if name == 'to' -%}
            {%- do arguments.update({'to': relation_of_parent(test)}) -%}
        {%- else -%}
            {%- do arguments.update({name: rendered(value)}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set where = test.config.get('where') -%}
    {%- set namespace = test.test_metadata.namespace -%}
    {%- if test.test_metadata.name == 'unique' and rows in ['written_rows', 'loaded_rows'] -%}
        {%- set column = test.test_metadata.kwargs.column_name -%}
        {%- set rows = '(select * from ' ~ this ~ ' where ' ~ column ~ ' in (select ' ~ column ~ ' from ' ~ rows ~ ')) as rows_of_these_keys' -%}
    {%- endif -%}
    {%- set macros = context[namespace] if namespace else context -%}
    {{ return(macros['test_' ~ test.test_metadata.name](
        model='(select * from ' ~ rows ~ (' where ' ~ where if where else '') ~ ') dbt_subquery', **arguments
    )) }}
{%- endmacro %}


{% macro rendered(value) -%}
    {%- if value is string -%}
        {{ return(render(value) if '{{' in value else value) }}
    {%- elif value is sequence and value is not mapping -%}
        {%- set values = [] -%}
        {%- for each in value -%}
            {%- do values.append(rendered(each)) -%}
        {%- endfor -%}
        {{ return(values) }}
    {%- endif -%}
    {{ return(value) }}
{%- endmacro %}


{% macro parent_of_test(test) -%}
    {#- The node that the child's column refers to; a table may refer to itself. -#}
    {%- for unique_id in test.depends_on.nodes if unique_id != test.attached_node -%}
        {{ return(graph.nodes.get(unique_id) or graph.sources.get(unique_id)) }}
    {%- endfor -%}
    {{ return(graph.nodes[test.attached_node]) }}
{%- endmacro %}


{% macro relation_of_parent(test) -%}
    {%- set parent = parent_of_test(test) -%}
    {{ return(api.Relation.create(database=parent.database, schema=parent.schema, identifier=parent.alias or parent.identifier)) }}
{%- endmacro %}
