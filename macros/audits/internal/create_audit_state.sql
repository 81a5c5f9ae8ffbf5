{% macro create_audit_state() -%}
    {%- set tables = state_relation('audited_tables') -%}
    {#- Two first runs at the same time would both try to create; the lock ends with the transaction. -#}
    select pg_advisory_xact_lock(hashtext('{{ tables }}'));
    {%- set definition %}
    create table {{ tables }} (
        model_name text primary key,
        storage text[] not null,
        counted_changes bigint not null,
        epoch bigint not null,
        writes bigint not null,
        losses bigint not null
    );
    comment on table {{ tables }} is
        'How the last build left each incremental table: its files, the changes that PostgreSQL counted, its own writes, lost keys.';
    {%- endset %}
    {{ create_table_if_missing(tables, definition, ['select', 'insert', 'update', 'delete']) }}

    {%- set tests = state_relation('audited_tests') -%}
    {%- set definition %}
    create table {{ tests }} (
        test_name text primary key,
        model_name text not null,
        fingerprint text not null,
        epoch bigint not null,
        writes bigint not null,
        parent_name text,
        parent_losses bigint,
        passed_whole_at timestamptz not null
    );
    comment on table {{ tests }} is
        'The data tests that every row of an incremental table passed, up to which write of the table.';
    {%- endset %}
    {{ create_table_if_missing(tests, definition, ['select', 'insert', 'update', 'delete']) }}

    {%- set keys = state_relation('tested_keys') -%}
    {%- set definition %}
    create table {{ keys }} (
        test_name text not null,
        upstream_name text not null,
        system_identifier text not null,
        run_snapshot pg_snapshot not null,
        epoch bigint not null,
        loaded_through timestamptz,
        fingerprint text not null,
        passed_whole_at timestamptz not null,
        primary key (test_name, upstream_name)
    );
    comment on table {{ keys }} is
        'Up to which changes of each table its tests passed that are asked of changes only, and when they last passed whole.';
    {%- endset %}
    {{ create_table_if_missing(keys, definition, ['select', 'insert', 'update', 'delete']) }}

    {%- set asked = state_relation('asked_tests') -%}
    {%- set definition %}
    create table {{ asked }} (
        test_name text primary key,
        invocation_id text not null
    );
    comment on table {{ asked }} is 'The data tests that passed in the node of their model, and in which run they last did.';
    {%- endset %}
    {{ create_table_if_missing(asked, definition, ['select', 'insert', 'update', 'delete']) }}
{%- endmacro %}
