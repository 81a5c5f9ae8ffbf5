{% macro reconcile_foreign_keys_of_tests() -%}
    {#-
        The data tests are the one list of what refers to what. In a contract, a `ref` would make the other table an upstream, and
        circles: fct_orders is computed from the lines that refer to it.
    -#}
    {%- if execute and flags.WHICH in ['build', 'run'] -%}
        {%- set tables = tables_of_models() -%}
        {%- do reconcile_foreign_keys(foreign_keys_of_tests(tables), tables.values() | list) -%}
    {%- endif -%}
{%- endmacro %}


{% macro tables_of_models() -%}
    {#- By the id of the model. dbt builds a dictionary for each access to a node of the graph, but not for one to what it shows. -#}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set tables = {} -%}
    {%- for unique_id in nodes if unique_id.startswith('model.') and nodes[unique_id].config.materialized in ['incremental', 'table'] -%}
        {%- do tables.update({unique_id: relation_of_node(nodes[unique_id]) | string}) -%}
    {%- endfor -%}
    {{ return(tables) }}
{%- endmacro %}


{% macro foreign_keys_of_tests(tables) -%}
    {#- A test of some rows says nothing of the others. -#}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set wanted = {} -%}
    {%- for unique_id in nodes if unique_id.startswith('test.') and nodes[unique_id].attached_node in tables -%}
        {%- set test = nodes[unique_id] -%}
        {%- set kind = test.test_metadata -%}
        {%- if kind and kind.name == 'relationships' and not kind.namespace and not test.config.get('where') -%}
            {%- set parents = test.depends_on.nodes | reject('equalto', test.attached_node) | list or [test.attached_node] -%}
            {%- if parents | length == 1 and parents[0] in tables -%}
                {%- set child, parent = nodes[test.attached_node], nodes[parents[0]] -%}
                {%- set column = column_of_index(kind.kwargs.column_name, none) -%}
                {%- set field = column_of_index(kind.kwargs.field, none) -%}
                {#- Of the whole schema, because many tools look constraints up by their name alone. -#}
                {%- set base = child.alias ~ '_' ~ column ~ '_to_' ~ parent.alias -%}
                {%- set name = index_name(base ~ '_' ~ field if index_name(base, '') in wanted else base, '') -%}
                {%- do wanted.update({
                    name: {
                        'name': name, 'table_name': tables[child.unique_id], 'column_name': column,
                        'target_name': tables[parent.unique_id], 'field_name': field,
                    }
                }) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(wanted.values() | list) }}
{%- endmacro %}
