{% macro create_run_state() -%}
    {%- set runs = state_relation('runs') -%}
    {#- Two first runs at the same time would both try to create; the lock ends with the transaction. -#}
    select pg_advisory_xact_lock(hashtext('{{ runs }}'));
    {%- set definition %}
    create table {{ runs }} (
        invocation_id text primary key,
        command text not null,
        target text not null,
        started_at timestamptz not null,
        finished_at timestamptz not null,
        seconds double precision not null,
        status text not null,
        code text,
        node_count bigint not null,
        failed_count bigint not null,
        warned_count bigint not null,
        skipped_count bigint not null,
        quality_score numeric,
        is_published boolean not null default false,
        not_published_because text
    );
    comment on table {{ runs }} is 'One row per run of dbt that built or tested nodes.';
    {%- endset %}
    {{ create_table_if_missing(runs, definition, ['select', 'insert', 'update', 'delete']) }}

    {%- set results = state_relation('run_results') -%}
    {%- set definition %}
    create table {{ results }} (
        invocation_id text not null,
        node_id text not null,
        node_name text not null,
        resource_type text not null,
        model_name text,
        status text not null,
        severity text,
        dimension text,
        weight numeric,
        counts_rows boolean,
        rows_judged bigint,
        failing_rows bigint,
        rows_written bigint,
        seconds double precision not null,
        started_at timestamptz,
        finished_at timestamptz not null
    ) partition by range (finished_at);
    comment on table {{ results }} is 'One row per run and node: models, snapshots, seeds, tests, and rules of rows. Partitioned by month.';
    create index run_results_by_node on {{ results }} (node_id, finished_at);
    create index run_results_by_run on {{ results }} (invocation_id);
    {%- endset %}
    {{ create_table_if_missing(results, definition, ['select', 'insert']) }}
    {{ create_partitions_of_results(results) }}

    {%- set scores = state_relation('quality_scores') -%}
    {%- set definition %}
    create table {{ scores }} (
        invocation_id text not null,
        scored_at timestamptz not null,
        scope text not null,
        name text not null,
        score numeric not null,
        checks bigint not null,
        rows_judged numeric not null,
        failing_rows numeric not null,
        primary key (invocation_id, scope, name)
    );
    comment on table {{ scores }} is 'Quality from 0 to 100 after a run: of the warehouse, of each dimension, and of each model.';
    {%- endset %}
    {{ create_table_if_missing(scores, definition, ['select', 'insert', 'update', 'delete']) }}

    {%- set volumes = state_relation('source_volumes') -%}
    {%- set definition %}
    create table {{ volumes }} (
        invocation_id text not null,
        table_name text not null,
        measured_at timestamptz not null,
        measured_since timestamptz,
        row_count bigint not null,
        loaded_rows bigint,
        deleted_rows bigint,
        rows_per_day double precision,
        is_passed boolean not null default false,
        primary key (invocation_id, table_name)
    );
    comment on table {{ volumes }} is 'Rows of each raw table at the start of each run, and those loaded since the run before.';
    create index source_volumes_by_table on {{ volumes }} (table_name, measured_at);
    {%- endset %}
    {{ create_table_if_missing(volumes, definition, ['select', 'insert', 'update', 'delete']) }}
{%- endmacro %}


{% macro create_partitions_of_results(results) %}
    {#-
        A month ahead, so that no run waits for readers at the turn of a month, and the month before, in which nodes of this run may have
        finished. Only the owner may; another role uses what is there.
    -#}
    do $partitions$
    declare
        months timestamp[] := array[
            date_trunc('month', now() at time zone 'UTC') - interval '1 month',
            date_trunc('month', now() at time zone 'UTC'),
            date_trunc('month', now() at time zone 'UTC') + interval '1 month'
        ];
        is_owner boolean := (select pg_has_role(relowner, 'usage') from pg_class where oid = '{{ results }}'::regclass);
        name text;
    begin
        for number in 1..3 loop
            name := format('%I.%I', '{{ results.schema }}', 'run_results_' || to_char(months[number], 'YYYY_MM'));
            if to_regclass(name) is null and is_owner then
                execute format(
                    'create table %s partition of {{ results }} for values from (%L) to (%L)',
                    name, months[number] at time zone 'UTC', (months[number] + interval '1 month') at time zone 'UTC'
                );
            elsif to_regclass(name) is null and number = 2 then
                raise exception 'The table {{ results.include(database=false) }} has no partition for this month, and the role % may not create it. Build once as its owner, the role %.',
                    current_role, (select pg_get_userbyid(relowner) from pg_class where oid = '{{ results }}'::regclass);
            end if;
        end loop;
    end
    $partitions$;
{%- endmacro %}
