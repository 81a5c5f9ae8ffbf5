{% macro tables_of_snapshot() -%}
    {#- The models and seeds that the snapshot reads, directly and through ephemeral models. -#}
    {%- set waiting = model.depends_on.nodes | list -%}
    {%- set found = {} -%}
    {%- for unique_id in waiting -%}
        {%- set node = graph.nodes.get(unique_id) or graph.sources[unique_id] -%}
        {%- if node.resource_type == 'model' and node.config.materialized == 'ephemeral' -%}
            {#- The loop also visits what it appends. -#}
            {%- do waiting.extend(node.depends_on.nodes) -%}
        {%- else -%}
            {%- do found.update({unique_id: {'name': node.name, 'relation': node.relation_name, 'is_here': node.relation_name in model.compiled_code}}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found.values() | list) }}
{%- endmacro %}
