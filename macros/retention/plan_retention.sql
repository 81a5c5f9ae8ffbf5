{% macro plan_retention() -%}
    {%- if execute -%}
        {%- set policies = [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
            {%- set retain = read_retain(node) -%}
            {%- if retain -%}
                {%- do policies.append({
                    'model': state_name(node),
                    'fault': retain.fault,
                    'retention': retain.retention or none,
                    'relation': node.relation_name,
                    'change_log_keys': change_log_keys(node),
                    'observability': state_relation('expired_partitions').schema,
                }) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set setup -%}
            {{ create_lock_out_maintenance() }}
            {{ create_try_for_locks() }}
            create or replace temporary view partition_bounds as
            select * from {{ partition_bounds() }} as bounds;
        {%- endset -%}
        {{ tojson({'policies': policies, 'setup': setup}) }}
    {%- endif -%}
{%- endmacro %}
