{% materialization materialized_view, adapter='postgres' %}
    {#-
        dbt's own materialization refreshes the view of an older query under a lock that blocks readers. Here a changed query
        creates another materialized view beside the old one, and readers never wait for its rows.
    -#}
    {%- set target_relation = this.incorporate(type='materialized_view') -%}
    {%- set intermediate_relation = make_intermediate_relation(target_relation) -%}
    {#- A mistake in a variable stops the run even if nothing is to be locked. -#}
    {%- do lock_patience() -%}
    {%- if config.get('on_configuration_change') != 'apply' -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ": on_configuration_change is '" ~ config.get('on_configuration_change')
            ~ "'; a materialized view takes 'apply' only: it always follows the model."
        ) }}
    {%- endif -%}

    {{ drop_relation_if_exists(load_cached_relation(make_backup_relation(target_relation, 'materialized_view'))) }}
    {%- do begin_model() -%}
    {%- set upstreams = upstreams_to_watch() -%}
    {%- if upstreams is not none -%}
        {%- do remember_watermarks(upstreams, definition_fingerprint(), with_storage=true) -%}
        {%- set found = read_together(state_of_materialized_view(target_relation, upstreams)) -%}
        {%- if found.last_run and found.last_run[0]['is_current'] -%}
            {%- do leave_alone() -%}
            {{ return(commit_model(target_relation, should_revoke=true, found=found)) }}
        {%- endif -%}
    {%- endif -%}

    {#- Before the query runs: it may read a backup, which another build waits to drop. -#}
    {%- do lock_out_maintenance('array[' ~ regclass_of(target_relation) ~ ']', 'could not be rebuilt') -%}
    {%- do check_contract(sql) -%}
    {%- set action = action_of_materialized_view(target_relation, sql) -%}
    {%- set name = intermediate_relation if action == 'replace' else target_relation -%}
    {%- if action in ['create', 'replace'] -%}
        {%- do run_query('drop materialized view if exists ' ~ intermediate_relation) -%}
        {%- call statement('main') -%}
            {{ config.get('sql_header') or '' }}
            create materialized view {{ name }} as
            {{ sql }}
        {%- endcall -%}
        {%- do create_indexes(name) -%}
        {%- do run_query('analyze ' ~ name) -%}
    {%- endif -%}
    {%- if action == 'replace' -%}
        {%- do take_the_place_of(target_relation, intermediate_relation) -%}
    {%- elif action == 'refresh' -%}
        {%- do refresh_in_place(target_relation) -%}
    {%- elif action == 'leave' -%}
        {%- do leave_alone() -%}
    {%- endif -%}
    {{ return(commit_model(target_relation, should_revoke=action != 'create')) }}
{% endmaterialization %}


{% macro action_of_materialized_view(relation, sql) -%}
    {%- set query -%}
        create temporary view new_view as
        {{ sql }}
        ;

        select
            relkind = 'm' as is_materialized_view,
            relkind = 'm' and pg_get_viewdef(pg_class.oid) = pg_get_viewdef('pg_temp.new_view'::regclass) as is_same,
            relispopulated as is_populated,
            exists (
                select
                from pg_index
                where indrelid = pg_class.oid
                    and indisunique
                    and indisvalid
                    and indimmediate
                    and indpred is null
                    and indexprs is null
            ) as has_key
        from pg_class
        where oid = {{ regclass_of(relation) }}
    {%- endset -%}
    {%- set found = run_query((config.get('sql_header') or '') ~ query) -%}
    {%- do run_query('drop view pg_temp.new_view') -%}
    {%- if not found | length -%}
        {{ return('create') }}
    {%- endif -%}
    {%- set found = found[0] -%}
    {%- if found['is_materialized_view'] and flags.EMPTY and not should_full_refresh() -%}
        {{ return('leave') }}
    {%- elif found['is_same'] and not should_full_refresh() and (found['has_key'] or not found['is_populated']) -%}
        {{ return('refresh') }}
    {%- endif -%}
    {{ return('replace') }}
{%- endmacro %}
