{% macro reconcile_foreign_keys_of_tests() -%}
    {#-
        The data tests are the one list of what refers to what. In a contract, a `ref` would make the other table an upstream, and
        circles: fct_orders is computed from the lines that refer to it.
    -#}
    {%- if execute and flags.WHICH in ['build', 'run'] -%}
        {%- do reconcile_foreign_keys(foreign_keys_of_tests(), tables_of_models()) -%}
    {%- endif -%}
{%- endmacro %}


{% macro foreign_keys_of_tests() -%}
    {#- A test of some rows says nothing of the others. -#}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set wanted = {} -%}
    {%- for unique_id in nodes if unique_id.startswith('test.') and (nodes[unique_id].attached_node or '').startswith('model.') -%}
        {%- set test = nodes[unique_id] -%}
        {%- set kind = test.test_metadata -%}
        {%- if kind and kind.name == 'relationships' and not kind.namespace and not test.config.get('where') -%}
            {%- set parents = test.depends_on.nodes | reject('equalto', test.attached_node) | list or [test.attached_node] -%}
            {%- set child, parent = nodes[test.attached_node], nodes.get(parents[0]) -%}
            {%- if parents | length == 1 and parent and is_table_of_model(child) and is_table_of_model(parent) -%}
                {%- set column = column_of_index(kind.kwargs.column_name, none) -%}
                {%- set field = column_of_index(kind.kwargs.field, none) -%}
                {#- Of the whole schema, because many tools look constraints up by their name alone. -#}
                {%- set name = index_name(child.alias ~ '_' ~ column ~ '_to_' ~ parent.alias ~ ('_' ~ field if field != column else ''), '') -%}
                {%- do wanted.update({
                    name: {
                        'name': name, 'column': column, 'field': field,
                        'table': relation_of_node(child), 'target': relation_of_node(parent),
                    }
                }) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(wanted.values() | list) }}
{%- endmacro %}


{% macro tables_of_models() -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set tables = [] -%}
    {%- for unique_id in nodes if unique_id.startswith('model.') and is_table_of_model(nodes[unique_id]) -%}
        {%- do tables.append(relation_of_node(nodes[unique_id])) -%}
    {%- endfor -%}
    {{ return(tables) }}
{%- endmacro %}


{% macro is_table_of_model(node) -%}
    {{ return(node.resource_type == 'model' and node.config.materialized in ['incremental', 'table']) }}
{%- endmacro %}
