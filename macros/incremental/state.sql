{% macro state_relation(identifier) -%}
    {{ return(api.Relation.create(
        database=target.database,
        schema=generate_schema_name('observability', none),
        identifier=identifier,
        type='table'
    )) }}
{%- endmacro %}


{% macro create_incremental_state() -%}
    {%- set watermarks = state_relation('watermarks') -%}
    {%- set key_changes = state_relation('key_changes') -%}

    {#- Two first runs at once would both try to create; the lock ends with the transaction. -#}
    select pg_advisory_xact_lock(hashtext('{{ watermarks }}'));

    create schema if not exists {{ adapter.quote(watermarks.schema) }};

    create table if not exists {{ watermarks }} (
        model_name text not null,
        upstream_name text not null,
        system_identifier text not null,
        run_snapshot pg_snapshot not null,
        loaded_through timestamptz,
        fingerprint text,
        as_of timestamptz not null,
        advanced_at timestamptz not null,
        primary key (model_name, upstream_name)
    );
    comment on table {{ watermarks }} is
        'How far each incremental model has read each of its upstreams; written in the transaction of the model''s own write.';

    create table if not exists {{ key_changes }} (
        model_name text not null,
        written_by xid8 not null,
        changed_keys jsonb
    );
    {#- Not "if not exists", which waits for every model that another build is writing before it looks. -#}
    do $$
    begin
        if to_regclass('{{ key_changes.include(identifier=false) }}.key_changes_by_model') is null then
            create index key_changes_by_model on {{ key_changes }} (model_name, written_by);
        end if;
    end
    $$;
    comment on table {{ key_changes }} is
        'The keys under which an incremental model lost or gained rows, by the writing transaction; null keys stand for all of them.';
{%- endmacro %}


{% macro prune_changed_keys() -%}
    {%- if execute and flags.WHICH in ['build', 'run'] and not flags.EMPTY -%}
    {%- set watermarks = state_relation('watermarks') -%}
    {%- set models = [] -%}
    {%- for unique_id in graph.nodes if unique_id.startswith('model.') -%}
        {%- do models.append(unique_id.split('.')[2]) -%}
    {%- endfor -%}
    {#- A model that has left the project reads no more; what every reader has seen is read by nobody. -#}
    delete from {{ watermarks }} where model_name not in ('{{ models | join("', '") }}');

    {#-
        Only while no model is written: one that is built for the first time beside this run has read a state of its
        upstreams, and nobody sees yet which. The next run prunes as well.
    -#}
    do $prune$
    begin
        if pg_try_advisory_xact_lock(hashtext('{{ state_relation("key_changes") }}')) then
            delete from {{ state_relation('key_changes') }} as key_changes
            where not exists (
                select 1
                from {{ watermarks }} as watermarks
                where watermarks.upstream_name = key_changes.model_name
                    and not pg_visible_in_snapshot(key_changes.written_by, watermarks.run_snapshot)
            );
        end if;
    end
    $prune$
    {%- endif -%}
{%- endmacro %}
