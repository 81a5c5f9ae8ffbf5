{% macro is_retained(column, model_name=none) -%}
    {#- What `warehouse retain` took away comes back by no late row and by no full refresh. -#}
    {%- set name = model_name or model.name -%}
    {%- set gone = {} -%}
    {%- if execute and model.resource_type != 'unit_test' -%}
        {%- if node_of_name('model', name).config.get('retain') and load_relation(state_relation('expired_partitions')) -%}
            {%- set gone = run_query(
                "select (max(upper_bound) at time zone 'UTC')::text || '+00' as upper_bound, bool_or(lower_bound = '-infinity') as has_no_beginning from "
                ~ state_relation('expired_partitions') ~ " where model_name = '" ~ name ~ "'"
            )[0] -%}
        {%- endif -%}
    {%- endif -%}
    {%- if not gone['upper_bound'] -%}
        true
    {%- else -%}
        {#- Rows without a moment, or with one before all others, are in the default partition, which does not expire. -#}
        (
            {{ column }} >= '{{ gone['upper_bound'] }}'
            or {{ column }} is null
            {%- if not gone['has_no_beginning'] %}
            or {{ column }} = '-infinity'
            {%- endif %}
        )
    {%- endif -%}
{%- endmacro %}


{% macro check_retain(partition_by) -%}
    {#- For a pre-hook; `warehouse retain` says the same. -#}
    {%- set given = config.get('retain') -%}
    {%- if given is not none -%}
        {%- set allowed = 'one of days, months, years with a whole number from 1 on, such as {months: 24}' -%}
        {%- if given is not mapping or given | length != 1 or given | first not in ['days', 'months', 'years'] -%}
            {{ exceptions.raise_compiler_error(this.identifier ~ ': retain is ' ~ given ~ '; it takes ' ~ allowed ~ '.') }}
        {%- endif -%}
        {%- set number = given[given | first] -%}
        {%- if number is boolean or number is not integer or number < 1 -%}
            {{ exceptions.raise_compiler_error(this.identifier ~ ': retain.' ~ given | first ~ ' is ' ~ number ~ '; it takes ' ~ allowed ~ '.') }}
        {%- elif not partition_by or partition_by.method != 'range' -%}
            {{ exceptions.raise_compiler_error(
                this.identifier ~ ': retain needs partition_by with the method range, because whole partitions are taken away; partition_by is '
                ~ (config.get('partition_by') or 'missing') ~ '.'
            ) }}
        {%- endif -%}
        {%- set callers = [] -%}
        {%- for node in [model] + graph.nodes.values() | selectattr('unique_id', 'in', model.depends_on.nodes) | list -%}
            {%- for macro in node.depends_on.macros if macro.endswith('.is_retained') -%}
                {%- do callers.append(node.name) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if not callers -%}
            {%- do exceptions.warn(
                this.identifier ~ ': retain is given, but the SQL of the model does not call is_retained, so rows that `warehouse retain` took away'
                ~ " come back with --full-refresh. Add is_retained('" ~ partition_by.field ~ "') to its condition, as docs/retention.md says."
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro create_retention_log() -%}
    {#- For on-run-start, after create_incremental_state. Two first runs at once would both try to create. -#}
    select pg_advisory_xact_lock(hashtext('{{ state_relation('expired_partitions') }}'));

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
