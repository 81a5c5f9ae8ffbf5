{% macro statements_of_publication(candidates) -%}
    {%- set names = [] -%}
    {%- for candidate in candidates -%}
        {%- set keys = keys_of_publication(candidate) -%}
        {%- do names.append('written_' ~ loop.index) %}
        {{ write_published_rows(candidate, keys, 'written_' ~ loop.index) }}
        {{ advance_publication(candidate) }}
    {%- endfor %}
    insert into {{ state_relation('publications') }} (published_at, invocation_id, quality_score, rows_written)
    select
        now(),
        '{{ invocation_id }}',
        (select quality_score from {{ state_relation('runs') }} where quality_score is not null order by finished_at desc limit 1),
        {% for name in names %}(select count(*) from {{ name }}){{ ' + ' if not loop.last }}{% endfor %};
    update {{ state_relation('runs') }} set is_published = true
    where invocation_id in ({{ quoted_texts(invocations_of_build()) }});
{%- endmacro %}


{% macro invocations_of_build() -%}
    {#- The second step of `warehouse build` is a run of its own, and ends what the first began. -#}
    {%- set first = env_var('WAREHOUSE_FIRST_STEP', '') if flags.WHICH == 'test' else '' -%}
    {{ return([invocation_id] + ([first] if first else [])) }}
{%- endmacro %}


{% macro write_published_rows(candidate, keys, written) -%}
    {#- Rows that are equal stay untouched. -#}
    {%- set view = relation_of_node(candidate) -%}
    {%- set table = published(view) -%}
    {%- set key = as_list(candidate.config.unique_key) -%}
    {%- set columns = [] -%}
    {%- for column in candidate.columns -%}
        {%- do columns.append(adapter.quote(column)) -%}
    {%- endfor -%}
    {%- set is_of_key -%}
        {% for column in key %}new_row.{{ column }} = old_row.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
    {%- endset -%}
    {%- set rows = written ~ '_rows' %}
    create temporary table {{ rows }} on commit drop as
    select {{ columns | join(', ') }} from {{ view }} as new_row {{ 'where (' ~ key | join(', ') ~ ') in (' ~ keys ~ ')' if keys }};
    create index on {{ rows }} ({{ key | join(', ') }});
    analyze {{ rows }};
    do $check_key$
    declare
        found text := (
            select ({{ key | join(', ') }})::text from {{ rows }}
            group by {{ key | join(', ') }}
            having count(*) > 1 or {% for column in key %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}
            limit 1
        );
    begin
        if found is not null then
            raise exception using message = {{ quoted_texts([
                'Nothing is published, because ' ~ candidate.name ~ ' has more than one row, or a null, for the ' ~ key | join(', ') ~ ' '
            ]) }} || found || '. Correct the model, and test its key with unique and not_null.';
        end if;
    end
    $check_key$;
    delete from {{ table }} as old_row
    where {{ '(' ~ key | join(', ') ~ ') in (' ~ keys ~ ')' if keys else 'true' }}
        and not exists (
            select from {{ rows }} as new_row
            where {{ is_of_key }} and ({{ prefixed('new_row', columns) }}) is not distinct from ({{ prefixed('old_row', columns) }})
        );
    create temporary table {{ written }} on commit drop as
    with inserted as (
        insert into {{ table }} ({{ columns | join(', ') }})
        select {{ columns | join(', ') }} from {{ rows }} as new_row
        where not exists (select from {{ table }} as old_row where {{ is_of_key }})
        returning 1
    )
    select * from inserted;
{%- endmacro %}


{% macro keys_of_publication(candidate) -%}
    {#- A query of the keys that changed since the last publication; none if all may have. -#}
    {%- set key = as_list(candidate.config.unique_key) -%}
    {%- set upstreams = [] -%}
    {%- for unique_id in candidate.depends_on.nodes if not unique_id.startswith('source.') -%}
        {%- set upstream = graph.nodes[unique_id] -%}
        {%- set logged = logged_keys_of_node(upstream) -%}
        {%- if not key or key | reject('in', logged) | list -%}
            {{ return(none) }}
        {%- endif -%}
        {%- do upstreams.append(upstream) -%}
    {%- endfor -%}
    {%- set query -%}
        select
            count(*) = {{ upstreams | length + 1 }}
            and bool_and(watermarks.system_identifier = {{ system_identifier() }})
            and bool_and(watermarks.fingerprint = {{ fingerprint_of_candidate(candidate) }}) filter (where watermarks.upstream_name = '(definition)')
            and bool_and(watermarks.storage = {{ storage_of(published(relation_of_node(candidate))) }}) filter (where watermarks.upstream_name = '(definition)')
            and not bool_or(exists (
                select
                from {{ state_relation('key_changes') }} as key_changes
                where key_changes.model_name = watermarks.upstream_name
                    and {{ is_unseen_xid('key_changes.written_by', 'watermarks.run_snapshot') }}
                    and (key_changes.changed_keys is null or not key_changes.changed_keys ?& array[{{ quoted_texts(key) }}])
            )) as is_known
        from {{ state_relation('watermarks') }} as watermarks
        where watermarks.model_name = '{{ state_name(candidate) }}'
            and watermarks.upstream_name in ('(definition)'{% for upstream in upstreams %}, '{{ state_name(upstream) }}'{% endfor %})
    {%- endset -%}
    {%- if not run_query(query)[0]['is_known'] -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set queries = [] -%}
    {%- for upstream in upstreams -%}
        {%- set changed -%}
            select {{ prefixed('keys', key) }}
            from {{ state_relation('watermarks') }} as watermarks
            inner join {{ state_relation('key_changes') }} as key_changes
                on watermarks.upstream_name = key_changes.model_name
                and {{ is_unseen_xid('key_changes.written_by', 'watermarks.run_snapshot') }}
            cross join lateral jsonb_populate_record(null::{{ relation_of_node(upstream) }}, key_changes.changed_keys) as keys
            where watermarks.model_name = '{{ state_name(candidate) }}' and watermarks.upstream_name = '{{ state_name(upstream) }}'
        {%- endset -%}
        {%- do queries.append(changed) -%}
    {%- endfor -%}
    {{ return(queries | join(' union ')) }}
{%- endmacro %}


{% macro advance_publication(candidate) -%}
    {#- The publication is a reader of the log like an incremental model, so that no key is deleted before it is published. -#}
    {%- set name = state_name(candidate) %}
    delete from {{ state_relation('watermarks') }} where model_name = '{{ name }}';
    insert into {{ state_relation('watermarks') }} (
        model_name, upstream_name, system_identifier, run_snapshot, fingerprint, storage, as_of, advanced_at
    )
    select
        '{{ name }}',
        upstream_name,
        {{ system_identifier() }},
        pg_current_snapshot(),
        case when upstream_name = '(definition)' then {{ fingerprint_of_candidate(candidate) }} end,
        case when upstream_name = '(definition)' then {{ storage_of(published(relation_of_node(candidate))) }} end,
        now(),
        clock_timestamp()
    from unnest(array['(definition)'
        {%- for unique_id in candidate.depends_on.nodes if not unique_id.startswith('source.') %}, '{{ state_name({'unique_id': unique_id}) }}'{% endfor -%}
    ]) as upstreams (upstream_name);
{%- endmacro %}


{% macro fingerprint_of_candidate(candidate) -%}
    md5(pg_get_viewdef({{ regclass_of(relation_of_node(candidate)) }}))
{%- endmacro %}
