{% macro read_upstreams(columns, given, ignoring, by_key=true) -%}
    {#- Everything that the model refs is an upstream, so that none can be forgotten. -#}
    {%- set place = ('changed_keys' if by_key else 'skip_unless_changed') ~ ' in ' ~ model.name -%}
    {%- if ignoring is string or ignoring is mapping -%}
        {{ exceptions.raise_compiler_error(
            place ~ ": ignoring is '" ~ ignoring ~ "'; it takes a list of relations, such as [ref('rfm_segments')]."
        ) }}
    {%- endif -%}
    {%- set given = [given] if given is mapping or given.identifier is defined else given -%}
    {%- if by_key and not model.depends_on.nodes -%}
        {{ exceptions.raise_compiler_error(place ~ ': the model refs nothing, so no change would be found. Read relations through ref(...).') }}
    {%- endif -%}
    {%- set ignored, entries, upstreams = [], {}, [] -%}
    {%- for relation in ignoring -%}
        {%- do ignored.append(node_of_relation(relation, place).unique_id) -%}
    {%- endfor -%}
    {%- for entry in given -%}
        {%- set entry = entry if entry is mapping and entry.relation is defined else {'relation': entry} -%}
        {%- set node = node_of_relation(entry.relation, place) -%}
        {%- if node.unique_id in entries or node.unique_id in ignored -%}
            {{ exceptions.raise_compiler_error(place ~ ' names ' ~ node.name ~ ' twice; name it once, in upstreams or in ignoring.') }}
        {%- endif -%}
        {%- do entries.update({node.unique_id: entry}) -%}
    {%- endfor -%}
    {%- for unique_id in model.depends_on.nodes if unique_id not in ignored -%}
        {%- if unique_id.startswith('source.') -%}
            {{ exceptions.raise_compiler_error(
                place ~ ': ' ~ unique_id ~ ' is a source, whose changes cannot be found. Read it through a staging model,'
                ~ ' or name it in ignoring.'
            ) }}
        {%- endif -%}
        {%- set node = graph.nodes[unique_id] -%}
        {%- set entry = entries.get(unique_id) or {'relation': ref_to(node)} -%}
        {%- do upstreams.append(read_upstream(columns, node, entry, by_key, place)) -%}
    {%- endfor -%}
    {{ return(upstreams) }}
{%- endmacro %}


{% macro read_upstream(columns, node, entry, by_key, place) -%}
    {#- Without keys it matters only whether any row differs, which a fingerprint shows for deleted rows too. -#}
    {%- set where = place ~ ': ' ~ node.name -%}
    {%- set kind = kind_of_upstream(node) -%}
    {%- set kind = 'lookup' if kind == 'loaded' and not by_key else kind -%}
    {%- set followed = entry.columns or columns -%}
    {%- if node.config.materialized == 'ephemeral' -%}
        {{ exceptions.raise_compiler_error(
            where ~ ' is ephemeral, so it cannot be queried for changes. Set its materialized to view, or name it in ignoring.'
        ) }}
    {%- elif entry.except_when and not entry.lookup -%}
        {{ exceptions.raise_compiler_error(
            where ~ ' has except_when and no lookup; except_when selects among the rows that are looked up, so set lookup, such as lookup=this,'
            ~ ' or remove except_when.'
        ) }}
    {%- elif kind == 'lookup' and (entry.columns or entry.key or entry.lookup) -%}
        {{ exceptions.raise_compiler_error(
            where ~ ' is compared as a whole, and a change of it concerns all keys: columns, key and lookup have no effect. Remove them.'
        ) }}
    {%- elif entry.key and entry.lookup -%}
        {{ exceptions.raise_compiler_error(
            where ~ ' has key and lookup; the key is either computed from the followed columns or looked up. Remove one of them.'
        ) }}
    {%- elif not entry.lookup and (entry.key or followed) | length != columns | length -%}
        {{ exceptions.raise_compiler_error(
            where ~ ' is followed by ' ~ (entry.key or followed) | join(', ') ~ ', and the key is ' ~ columns | join(', ')
            ~ '. Give as many columns as the key has, or set lookup to a relation with the columns of both.'
        ) }}
    {%- elif by_key and not entry.lookup and is_in_other_order(entry.key or followed, columns) -%}
        {{ exceptions.raise_compiler_error(
            where ~ ' is followed by ' ~ (entry.key or followed) | join(', ') ~ ', and the key is ' ~ columns | join(', ')
            ~ '. Columns are matched by their place, not by their name; give them in the order of the key.'
        ) }}
    {%- elif kind == 'logged' and by_key -%}
        {%- set logged = change_log_keys(node) -%}
        {%- for column in followed if column not in logged -%}
            {%- set found = adapter.get_columns_in_relation(entry.relation) | map(attribute='name') | list -%}
            {%- if found and missing_columns([column], found) -%}
                {{ exceptions.raise_compiler_error(where ~ " has no column '" ~ column ~ "', which is to be followed; it has " ~ found | join(', ') ~ '.') }}
            {%- endif -%}
            {{ exceptions.raise_compiler_error(
                where ~ (' logs the keys ' ~ logged | join(', ') if logged else ' logs no keys') ~ ' of its changes, not ' ~ column ~ '. Either add '
                ~ column ~ ' to meta.change_log_keys in the config of ' ~ node.name ~ '; or follow logged columns, with upstream(ref(\'' ~ node.name
                ~ "'), columns=...), and compute the key from them with key=..., or look it up with lookup=...; or, if its changes do not"
                ~ ' matter, name it in ignoring.'
            ) }}
        {%- endfor -%}
    {%- elif kind == 'loaded' -%}
        {%- set key = as_list(node.config.unique_key if node.resource_type == 'snapshot' else node.primary_key) -%}
        {%- for column in followed if key and column not in key -%}
            {{ exceptions.raise_compiler_error(
                where ~ ' is followed by ' ~ column ~ ', which is not of its key ' ~ key | join(', ') ~ '. After a row has got another ' ~ column
                ~ ', no loaded row tells the one that it had. Follow an incremental model that logs ' ~ column
                ~ ' in meta.change_log_keys, as the facts do; or, if its changes do not matter, name it in ignoring.'
            ) }}
        {%- endfor -%}
    {%- endif -%}
    {{ return({
        'name': state_name(node),
        'relation': entry.relation,
        'kind': kind,
        'is_snapshot': node.resource_type == 'snapshot',
        'is_view': node.config.materialized == 'view',
        'has_load_time': 'staging' in node.fqn and node.resource_type == 'model' and '_loaded_at' in node.columns,
        'is_elsewhere': node.relation_name != entry.relation | string,
        'columns': followed,
        'key': entry.key,
        'lookup': entry.lookup,
        'except_when': entry.except_when,
        'definition': local_md5(node.raw_code or ''),
        'event_time': entry.event_time or (node.config.get('event_time') if kind == 'loaded' else none),
    }) }}
{%- endmacro %}


{% macro is_in_other_order(names, columns) -%}
    {{ return(names != columns and names | sort == columns | sort) }}
{%- endmacro %}


{% macro ref_to(node) -%}
    {{ return(ref(node.package_name, node.name, v=node.version) if node.version else ref(node.package_name, node.name)) }}
{%- endmacro %}


{% macro node_of_relation(relation, place) -%}
    {#- dbt builds a dictionary for each access to a node, which for all nodes takes longer than many queries. -#}
    {%- set nodes = [] -%}
    {%- for unique_id in model.depends_on.nodes -%}
        {%- do nodes.append(graph.sources[unique_id] if unique_id.startswith('source.') else graph.nodes[unique_id]) -%}
    {%- endfor -%}
    {%- for node in nodes if node.relation_name == relation | string -%}
        {{ return(node) }}
    {%- endfor -%}
    {#- With --defer a ref points to the schemas of another target; that of an ephemeral model is the name of a CTE. -#}
    {%- for node in nodes if (node.alias or node.identifier) == relation.identifier or relation | string == '__dbt__cte__' ~ node.name -%}
        {{ return(node) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error(
        place ~ ': ' ~ relation ~ ' is not a model, snapshot or seed that this model refs; '
        ~ 'pass the upstreams as ref(...). It refs ' ~ (nodes | map(attribute='name') | join(', ') or 'nothing') ~ '.'
    ) }}
{%- endmacro %}


{% macro kind_of_upstream(node) -%}
    {#-
        loaded   rows carry _loaded_at and _row_xid: staging views and snapshots
        logged   an incremental model that logs the keys of its changes
        lookup   small and rebuilt whole: any difference concerns every key
    -#}
    {%- if node.resource_type == 'snapshot' or 'staging' in node.fqn and node.resource_type == 'model' -%}
        {{ return('loaded') }}
    {%- elif node.config.materialized == 'incremental' and node.config.get('incremental_strategy') == 'changed_keys' -%}
        {{ return('logged') }}
    {%- else -%}
        {{ return('lookup') }}
    {%- endif -%}
{%- endmacro %}
