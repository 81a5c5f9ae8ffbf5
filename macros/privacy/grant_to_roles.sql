{% macro grant_to_roles() -%}
    {#- For `warehouse roles --apply`: what a run does for its schemas and models, for all that exist. -#}
    {%- do run_query(grants_of_schemas()) -%}
    {%- for node in (graph.nodes.values() if execute else []) if node.resource_type in ['model', 'seed', 'snapshot'] and node.config.get('grants') -%}
        {%- set relation = load_relation(relation_of_node(node)) -%}
        {%- if relation -%}
            {%- do apply_grants(relation, node.config.grants, should_revoke=true) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do adapter.commit() -%}
{%- endmacro %}
