{% macro plan_retention() -%}
    {%- if execute -%}
        {%- set policies, holds = [], [] -%}
        {%- set tables = [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
            {%- do tables.append(node) -%}
        {%- endfor -%}
        {%- for source in graph.sources.values() if source.source_name == 'app' and source.name in var('sources_present') -%}
            {%- do tables.append(source) -%}
        {%- endfor -%}
        {%- for node in tables -%}
            {%- set retain = read_retain(node) -%}
            {%- if retain -%}
                {%- set is_source = node.resource_type == 'source' -%}
                {%- for hold in retain.holds if not is_source -%}
                    {%- do holds.append({'above': ancestors_of(node), 'hold': dict(hold, reason=node.name ~ ': ' ~ hold.reason)}) -%}
                {%- endfor -%}
                {%- do policies.append({
                    'unique_id': node.unique_id,
                    'model': 'app.' ~ node.name if is_source else state_name(node),
                    'is_source': is_source,
                    'fault': retain.fault,
                    'retention': retain.text,
                    'tiers': retain.tiers,
                    'tablespace': retain.tablespace,
                    'column': retain.column,
                    'is_partitioned': retain.is_partitioned,
                    'holds': retain.holds,
                    'consent': retain.consent,
                    'relation': node.relation_name,
                    'change_log_keys': [] if is_source else change_log_keys(node),
                    'readers': readers_of_source(node) if is_source else [],
                    'observability': state_relation('expired_partitions').schema,
                    'recalled': generate_schema_name('recalled', none),
                }) -%}
            {%- endif -%}
        {%- endfor -%}
        {#- What a source loses, the next build takes out of the tables below it: a hold of these holds the source too. -#}
        {%- for policy in policies if policy.is_source -%}
            {%- for each in holds if policy.unique_id in each.above -%}
                {%- do policy.holds.append(each.hold) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- set setup -%}
            {{ create_lock_out_maintenance() }}
            {{ create_try_for_locks() }}
            create or replace temporary view partition_bounds as
            select * from {{ partition_bounds() }} as bounds;
        {%- endset -%}
        {{ tojson({
            'policies': policies,
            'setup': setup,
            'archive_store': var('archive_store', none),
            'consents': relation_of_model('stg_app__consents'),
        }) }}
    {%- endif -%}
{%- endmacro %}
