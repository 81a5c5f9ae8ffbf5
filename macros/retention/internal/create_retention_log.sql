{% macro create_retention_log() -%}
    {#- After create_incremental_state, which creates the schema. Two first runs at the same time would both try to create. -#}
    select pg_advisory_xact_lock(hashtext('{{ state_relation('expired_partitions') }}'));

    {%- set definition %}
    create table {{ state_relation('expired_partitions') }} (
        model_name text not null,
        partition_name text not null,
        lower_bound timestamptz not null,
        upper_bound timestamptz not null,
        row_count bigint not null,
        byte_count bigint not null,
        retention text not null,
        detached_by text not null default current_user,
        detached_at timestamptz not null default clock_timestamp(),
        dropped_at timestamptz,
        primary key (model_name, lower_bound, detached_at)
    );
    comment on table {{ state_relation('expired_partitions') }} is
        'What `warehouse retain` took out of tables; rows within these bounds stay away while the model has retain.';
    {%- endset %}
    {{ create_table_if_missing(state_relation('expired_partitions'), definition) }}

    {%- set definition %}
    create table {{ state_relation('archived_files') }} (
        file_id bigint generated always as identity primary key,
        model_name text not null,
        lower_bound timestamptz not null,
        upper_bound timestamptz not null,
        file text unique,
        file_being_written text unique,
        file_to_delete text unique,
        row_count bigint,
        byte_count bigint,
        checksum text,
        columns jsonb,
        retention text not null,
        archived_by text not null default current_user,
        archived_at timestamptz,
        rewritten_at timestamptz,
        deleted_at timestamptz,
        deleted_because text,
        recalled_into text,
        recalled_until timestamptz
    );
    comment on table {{ state_relation('archived_files') }} is
        'The catalogue of the archive: one row per Parquet file that `warehouse retain` wrote.';
    {%- endset %}
    {{ create_table_if_missing(state_relation('archived_files'), definition) }}
{%- endmacro %}
