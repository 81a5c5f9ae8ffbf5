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
        exported_to text,
        detached_by text not null default current_user,
        detached_at timestamptz not null default clock_timestamp(),
        dropped_at timestamptz,
        primary key (model_name, lower_bound, detached_at)
    );
    comment on table {{ state_relation('expired_partitions') }} is
        'The partitions that `warehouse retain` took away; rows before the newest upper_bound stay away while the model has retain.';
    {%- endset %}
    {{ create_table_if_missing(state_relation('expired_partitions'), definition) }}
{%- endmacro %}
