{% macro normalize_upstreams(columns, upstreams) -%}
    {#- Every upstream becomes a dictionary with name, relation, kind, columns and through. -#}
    {%- set normalized = [] -%}
    {%- for given in upstreams -%}
        {%- set entry = given if given is mapping and given.relation is defined else {'relation': given} -%}
        {%- set node = node_of_relation(entry.relation) -%}
        {%- set entry_columns = entry.columns if entry.columns else columns -%}
        {%- if kind_of_upstream(node) == 'tracked' and not node.config.get('meta', {}).get('tracked_keys') -%}
            {{ exceptions.raise_compiler_error(
                'changed_keys in ' ~ model.name ~ ': ' ~ node.name ~ ' does not log its keys; set its meta.tracked_keys to a list of its columns.'
            ) }}
        {%- endif -%}
        {%- if entry.unless and not entry.through -%}
            {{ exceptions.raise_compiler_error(
                'changed_keys in ' ~ model.name ~ ': the upstream ' ~ node.name ~ ' has unless and no through; unless selects among the rows that '
                ~ 'through looks up, so set through, such as through=this, or remove unless.'
            ) }}
        {%- endif -%}
        {%- do normalized.append({
            'name': state_name(node),
            'relation': entry.relation,
            'kind': kind_of_upstream(node),
            'is_snapshot': node.resource_type == 'snapshot',
            'is_elsewhere': node.relation_name != entry.relation | string,
            'columns': [entry_columns] if entry_columns is string else entry_columns,
            'through': entry.through,
            'unless': entry.unless,
            'dated_by': entry.dated_by,
        }) -%}
    {%- endfor -%}
    {{ return(normalized) }}
{%- endmacro %}


{% macro node_of_relation(relation) -%}
    {#- dbt builds a dictionary for each access to a node, which for all nodes takes longer than many queries. -#}
    {%- set nodes = [] -%}
    {%- for unique_id in model.depends_on.nodes if unique_id.split('.')[0] in ['model', 'snapshot', 'seed'] -%}
        {%- do nodes.append(graph.nodes[unique_id]) -%}
    {%- endfor -%}
    {%- for node in nodes if node.relation_name == relation | string -%}
        {{ return(node) }}
    {%- endfor -%}
    {#- With --defer a ref points to the schemas of another target. -#}
    {%- for node in nodes if node.alias == relation.identifier -%}
        {{ return(node) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error(
        'changed_keys in ' ~ model.name ~ ': ' ~ relation ~ ' is not a model, snapshot or seed that this model refs; '
        ~ 'pass the upstreams as ref(...).'
    ) }}
{%- endmacro %}


{% macro kind_of_upstream(node) -%}
    {#-
        loaded   rows carry _loaded_at and _row_xid: staging views and snapshots
        tracked  an incremental model that writes its changed keys down
        lookup   small and rebuilt whole: any difference concerns every key
    -#}
    {%- if node.resource_type == 'snapshot' or 'staging' in node.fqn and node.resource_type == 'model' -%}
        {{ return('loaded') }}
    {%- elif node.config.materialized == 'incremental' and node.config.get('incremental_strategy') == 'changed_keys' -%}
        {{ return('tracked') }}
    {%- else -%}
        {{ return('lookup') }}
    {%- endif -%}
{%- endmacro %}
