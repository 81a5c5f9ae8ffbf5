{% macro node_of_name(resource_type, name) -%}
    {#- dbt makes a dictionary of a node whenever it is asked for, so it is asked for one alone. -#}
    {%- for unique_id in graph.nodes if unique_id.startswith(resource_type ~ '.') and unique_id.split('.')[2] == name -%}
        {{ return(graph.nodes[unique_id]) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error(model.name ~ ' asks for the ' ~ resource_type ~ " '" ~ name ~ "', which this project does not have.") }}
{%- endmacro %}
