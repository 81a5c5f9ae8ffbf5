{% macro changed_keys(columns, upstreams, due=none, dated_by=none) -%}
    {#-
        Finds the keys of this run and remembers how far each upstream has been read. The keys go into the
        temporary table changed_keys, analysed, so that the planner knows how few they are.
    -#}
    {%- set columns = [columns] if columns is string else columns -%}
    {%- if not execute or model.resource_type == 'unit_test' or flags.WHICH not in ['build', 'run'] -%}
        {{ return({'all': true, 'columns': columns}) }}
    {%- elif flags.EMPTY -%}
        {{ return({'all': not is_incremental(), 'columns': columns}) }}
    {%- endif -%}

    {#- Before anything is read: who waits for another build must not hold the tables that it may have to lock. -#}
    {%- do run_query(lock_model()) -%}
    {%- set upstreams = normalize_upstreams(columns, upstreams) -%}
    {%- do remember_watermarks(upstreams) -%}
    {%- set previous = read_watermarks(upstreams) -%}
    {%- set reason = reason_for_all_keys(upstreams, previous, due) -%}

    {%- if reason -%}
        {%- do log(model.name ~ ': all keys, because ' ~ reason, info=false) -%}
    {%- else -%}
        {%- set found -%}
            {%- for upstream in upstreams if upstream.kind != 'lookup' %}
            {{ 'union' if not loop.first }}
            {{ changed_keys_of_upstream(columns, upstream, previous[upstream.name]) }}
            {%- endfor %}
            {%- if due %}
            union
            select {{ columns | join(', ') }} from {{ this }} where {{ due }}
            {%- endif %}
            {%- if is_backfill() %}
            {{ keys_of_backfill(columns, upstreams, dated_by) }}
            {%- endif %}
        {%- endset -%}
        {%- do run_query(
            'create temporary table changed_keys (' ~ columns | join(', ') ~ ') as ' ~ found ~ '; analyze changed_keys;'
        ) -%}
    {%- endif -%}
    {{ return({'all': reason is not none, 'columns': columns}) }}
{%- endmacro %}


{% macro is_in(keys, columns=none) -%}
    {%- set columns = [columns] if columns is string else (columns or keys.columns) -%}
    {%- if keys.all -%}
        true
    {%- elif flags.EMPTY -%}
        false
    {%- else -%}
        ({{ columns | join(', ') }}) in (select {{ keys.columns | join(', ') }} from changed_keys)
    {%- endif -%}
{%- endmacro %}


{% macro upstream(relation, columns=none, through=none, unless=none, dated_by=none) -%}
    {{ return({'relation': relation, 'columns': columns, 'through': through, 'unless': unless, 'dated_by': dated_by}) }}
{%- endmacro %}


{% macro normalize_upstreams(columns, upstreams) -%}
    {#- Every upstream becomes a dictionary with name, relation, kind, columns and through. -#}
    {%- set normalized = [] -%}
    {%- for given in upstreams -%}
        {%- set entry = given if given is mapping and given.relation is defined else {'relation': given} -%}
        {%- set node = node_of_relation(entry.relation) -%}
        {%- set entry_columns = entry.columns if entry.columns else columns -%}
        {%- if kind_of_upstream(node) == 'tracked' and not node.config.get('meta', {}).get('tracked_keys') -%}
            {{ exceptions.raise_compiler_error(
                'changed_keys in ' ~ model.name ~ ': ' ~ node.name ~ ' logs no keys; give it meta.tracked_keys, a list of its columns.'
            ) }}
        {%- endif -%}
        {%- do normalized.append({
            'name': node.name,
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
    {#- dbt makes a dictionary of a node whenever it is asked for, which for all nodes takes longer than many a query. -#}
    {%- set nodes = [] -%}
    {%- for unique_id in model.depends_on.nodes if unique_id.split('.')[0] in ['model', 'snapshot', 'seed'] -%}
        {%- do nodes.append(graph.nodes[unique_id]) -%}
    {%- endfor -%}
    {%- for node in nodes if node.relation_name == relation | string -%}
        {{ return(node) }}
    {%- endfor -%}
    {#- With --defer a ref leads into the schemas of another target. -#}
    {%- for node in nodes if node.alias == relation.identifier -%}
        {{ return(node) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error(
        'changed_keys in ' ~ model.name ~ ': ' ~ relation ~ ' is no model, snapshot or seed that this model refs; '
        ~ 'give the upstreams as ref(...).'
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


{% macro read_watermarks(upstreams) -%}
    {%- set previous = {} -%}
    {%- if is_incremental() -%}
        {%- set query -%}
            select
                upstream_name,
                run_snapshot::text as run_snapshot,
                loaded_through::text as loaded_through,
                fingerprint,
                as_of > {{ as_of() }} as is_ahead,
                system_identifier != {{ system_identifier() }} as is_of_another_server
            from {{ state_relation('watermarks') }}
            where model_name = '{{ model.name }}'
        {%- endset -%}
        {%- for row in run_query(query) -%}
            {%- do previous.update({row['upstream_name']: row}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(previous) }}
{%- endmacro %}


{% macro reason_for_all_keys(upstreams, previous, due) -%}
    {#- None, or the words why this run concerns every key. -#}
    {%- if not is_incremental() -%}
        {{ return('the table is built whole') }}
    {%- endif -%}
    {%- set definition = previous.get('(definition)') -%}
    {%- if not definition or definition['fingerprint'] != definition_fingerprint() -%}
        {{ return('its SQL or a variable changed') }}
    {%- endif -%}
    {%- if previous.values() | selectattr('is_of_another_server') | list -%}
        {{ return('the database was restored from another server') }}
    {%- endif -%}
    {%- for upstream in upstreams -%}
        {%- set watermark = previous.get(upstream.name) -%}
        {%- if upstream.is_elsewhere -%}
            {{ return(upstream.name ~ ' is read from another target') }}
        {%- elif not watermark -%}
            {{ return(upstream.name ~ ' was never read') }}
        {%- elif due and watermark['is_ahead'] -%}
            {{ return('as_of lies before the one of the last run') }}
        {%- elif upstream.kind == 'lookup' and fingerprint_of(upstream.relation) != watermark['fingerprint'] -%}
            {{ return(upstream.name ~ ' changed') }}
        {%- elif upstream.kind == 'tracked' and was_rebuilt(upstream, watermark) -%}
            {{ return(upstream.name ~ ' was rebuilt') }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}


{% macro definition_fingerprint() -%}
    {#- What decides over the rows beside the upstreams. A macro that changed is not seen: --full-refresh. -#}
    {{ return(local_md5(
        model.raw_code ~ var('calendar_start') ~ var('calendar_end') ~ var('simple_clv_factor') ~ var('sources_present')
        ~ var('rfm_window_months')
    )) }}
{%- endmacro %}


{% macro was_rebuilt(upstream, watermark) -%}
    {%- set query -%}
        select 1
        from {{ state_relation('key_changes') }}
        where model_name = '{{ upstream.name }}'
            and changed_keys is null
            and {{ is_unseen_xid('written_by', watermark) }}
        limit 1
    {%- endset -%}
    {{ return(run_query(query) | length > 0) }}
{%- endmacro %}


{% macro fingerprint_of(relation) -%}
    {%- set query -%}
        select md5(coalesce(string_agg(lookup::text, '|' order by lookup::text), '')) from {{ relation }} as lookup
    {%- endset -%}
    {{ return(run_query(query)[0][0]) }}
{%- endmacro %}


{% macro changed_keys_of_upstream(columns, upstream, watermark) -%}
    {%- set found -%}
        {%- if upstream.kind == 'tracked' -%}
            select distinct {{ upstream.columns | join(', ') }}
            from {{ state_relation('key_changes') }},
                jsonb_populate_record(null::{{ upstream.relation }}, changed_keys) as keys
            where model_name = '{{ upstream.name }}'
                and {{ is_unseen_xid('written_by', watermark) }}
        {%- else -%}
            select distinct {{ upstream.columns | join(', ') }}
            from {{ upstream.relation }}
            where {{ is_unseen_load(watermark, row_xid() if upstream.is_snapshot else '_row_xid') }}
        {%- endif -%}
    {%- endset -%}
    {{ led_through(columns, upstream, found) }}
{%- endmacro %}


{% macro keys_of_backfill(columns, upstreams, dated_by) -%}
    {#- What the window holds, in the upstreams and in the table itself, where rows may stand that no upstream has. -#}
    {%- for upstream in upstreams if upstream.dated_by %}
    union
    {%- set found -%}
        select distinct {{ upstream.columns | join(', ') }}
        from {{ upstream.relation }}
        where {{ is_in_backfill(upstream.dated_by) }}
    {%- endset %}
    {{ led_through(columns, upstream, found) }}
    {%- endfor %}
    {%- if dated_by %}
    union
    select {{ columns | join(', ') }} from {{ this }} where {{ is_in_backfill(dated_by) }}
    {%- endif %}
{%- endmacro %}


{% macro led_through(columns, upstream, found) -%}
    {%- if upstream.through -%}
        select {{ columns | join(', ') }}
        from {{ upstream.through }} as led
        where ({{ prefixed('led', upstream.columns) }}) in ({{ found }})
            {%- if upstream.unless %}
            and not ({{ upstream.unless }})
            {%- endif %}
    {%- else -%}
        {{ found }}
    {%- endif -%}
{%- endmacro %}


{% macro is_unseen_xid(column, watermark) -%}
    {{ column }} >= pg_snapshot_xmin('{{ watermark["run_snapshot"] }}')
    and not pg_visible_in_snapshot({{ column }}, '{{ watermark["run_snapshot"] }}')
{%- endmacro %}
