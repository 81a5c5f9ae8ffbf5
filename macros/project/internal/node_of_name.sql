{% macro node_of_name(resource_type, name) -%}
    {#- dbt builds a dictionary for each access to a node, so only one is accessed. -#}
    {%- for unique_id in graph.nodes if unique_id.startswith(resource_type ~ '.') and unique_id.split('.')[2] == name -%}
        {{ return(graph.nodes[unique_id]) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error(model.name ~ ' refers to the ' ~ resource_type ~ " '" ~ name ~ "', which does not exist in this project.") }}
{%- endmacro %}
