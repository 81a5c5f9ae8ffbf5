{% macro state_name(node) -%}
    {#- Versions of a model share their name, but not their state. #}
    {{- return(node.unique_id.split('.')[2:] | join('.')) -}}
{%- endmacro %}
