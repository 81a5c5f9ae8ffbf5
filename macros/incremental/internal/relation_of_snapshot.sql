{% macro relation_of_snapshot(name) -%}
    {#- Not by ref: the snapshot reads the model that calls this. -#}
    {%- set node = node_of_name('snapshot', name) -%}
    {{ return(adapter.get_relation(node.database, node.schema, node.alias)) }}
{%- endmacro %}
