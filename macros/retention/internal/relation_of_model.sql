{% macro relation_of_model(name) -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == name -%}
        {{ return(node.relation_name) }}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}
