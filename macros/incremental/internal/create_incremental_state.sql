{% macro create_incremental_state() -%}
    {%- set watermarks = state_relation('watermarks') -%}
    {%- set key_changes = state_relation('key_changes') -%}

    {#- Two first runs at the same time would both try to create; the lock ends with the transaction. -#}
    select pg_advisory_xact_lock(hashtext('{{ watermarks }}'));

    {%- set definition %}
    create table {{ watermarks }} (
        model_name text not null,
        upstream_name text not null,
        system_identifier text not null,
        run_snapshot pg_snapshot not null,
        loaded_through timestamptz,
        fingerprint text,
        storage text[],
        as_of timestamptz not null,
        advanced_at timestamptz not null,
        primary key (model_name, upstream_name)
    );
    comment on table {{ watermarks }} is
        'How far each incremental model has read each of its upstreams; written in the transaction of the model''s own write.';
    {%- endset %}
    {{ create_table_if_missing(watermarks, definition, ['select', 'insert', 'update', 'delete']) }}
    {#- A table of an earlier version lacks the column. Asked first, because alter table locks out every build that is writing. -#}
    do $$
    begin
        if not exists (
            select 1 from pg_attribute where attrelid = '{{ watermarks }}'::regclass and attname = 'storage' and not attisdropped
        ) then
            alter table {{ watermarks }} add column storage text[];
        end if;
    end
    $$;

    {%- set definition %}
    create table {{ key_changes }} (
        model_name text not null,
        written_by xid8 not null,
        changed_keys jsonb
    );
    comment on table {{ key_changes }} is
        'The keys under which an incremental model lost or gained rows, by the writing transaction; null keys stand for all of them.';
    {%- endset %}
    {{ create_table_if_missing(key_changes, definition, ['select', 'insert', 'update', 'delete']) }}
    {#- Not "if not exists", which waits for every model that another build is writing before it checks. -#}
    do $$
    begin
        if to_regclass('{{ key_changes.include(identifier=false) }}.key_changes_by_model') is null then
            create index key_changes_by_model on {{ key_changes }} (model_name, written_by);
        end if;
    end
    $$;
{%- endmacro %}
