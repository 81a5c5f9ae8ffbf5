{% macro readers_of_source(source) -%}
    {#- The names under which watermarks know the views that read it. -#}
    {%- set names = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and source.unique_id in node.depends_on.nodes -%}
        {%- do names.append(state_name(node)) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}
