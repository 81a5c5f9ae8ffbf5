{% macro is_retained(column, model_name=none) -%}
    {#- What `warehouse retain` took away comes back by no late row and by no full refresh. -#}
    {%- set name = model_name or model.name -%}
    {%- set retained_from = none -%}
    {%- if execute and model.resource_type != 'unit_test' -%}
        {%- set node = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | selectattr('name', 'equalto', name) | first -%}
        {%- if node.config.get('retain') and load_relation(state_relation('expired_partitions')) -%}
            {%- set retained_from = run_query(
                "select max(upper_bound)::text from " ~ state_relation('expired_partitions') ~ " where model_name = '" ~ name ~ "'"
            )[0][0] -%}
        {%- endif -%}
    {%- endif -%}
    {{ column ~ " >= '" ~ retained_from ~ "'" if retained_from else 'true' }}
{%- endmacro %}


{% macro create_retention_log() -%}
    {#- For on-run-start, after create_incremental_state. -#}
    create table if not exists {{ state_relation('expired_partitions') }} (
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
{%- endmacro %}
