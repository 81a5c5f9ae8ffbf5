{% materialization view, adapter='postgres' %}
    {#-
        dbt's own materialization drops the existing view and its dependents. Here an unchanged view is not touched, and a
        changed one is replaced under the same identity, so readers always find it.
    -#}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set new_relation = make_intermediate_relation(target_relation) -%}
    {%- set old_relation = make_backup_relation(target_relation, 'view') -%}

    {#- What an earlier run could not drop, or did not reach. -#}
    {{ drop_relation_if_exists(load_cached_relation(new_relation)) }}
    {{ drop_relation_if_exists(load_cached_relation(old_relation)) }}
    {%- do begin_model() -%}
    {%- do check_contract(sql) -%}
    {%- set found = fit_of_view(this, sql) -%}
    {%- set fit = found.fit -%}
    {#- With --empty or --sample the query hides rows; the existing view keeps showing them. -#}
    {%- if fit == 'same' or fit == 'same columns' and (flags.EMPTY or is_sample()) -%}
        {%- do leave_alone() -%}
    {%- else -%}
        {%- set create_view -%}
            {#- Without its options PostgreSQL would reset them. #}
            create or replace view {{ new_relation if fit == 'other columns' else target_relation }}
            {{ 'with (' ~ found.options ~ ')' if found.options and fit == 'same columns' }} as
            {{ sql }}
        {%- endset -%}
        {%- call statement('main') -%}
            {{ config.get('sql_header') or '' }}
            {{ try_patiently(create_view, 'the view ' ~ this ~ ' could not be replaced', this) if fit == 'same columns' else create_view }}
        {%- endcall -%}
        {%- do store_raw_result(name='main', message='CREATE VIEW', code='CREATE VIEW', rows_affected='-1') -%}
    {%- endif -%}
    {%- if fit != 'other columns' -%}
        {{ return(commit_model(target_relation, should_revoke=fit != 'new')) }}
    {%- endif -%}

    {%- if relation_in_catalog(old_relation) -%}
        {{ exceptions.raise_compiler_error(
            this ~ ' has changed columns and cannot be replaced, because ' ~ old_relation ~ ' of an earlier run still exists; the warning says'
            ~ ' what depends on it.'
        ) }}
    {%- endif -%}
    {%- set old_relation = old_relation.incorporate(type=found.type) -%}
    {%- do adapter.rename_relation(this.incorporate(type=found.type), old_relation) -%}
    {%- do adapter.rename_relation(new_relation, target_relation) -%}
    {{ return(commit_model(target_relation, should_revoke=true, backup=old_relation)) }}
{% endmaterialization %}


{% macro fit_of_view(relation, sql) -%}
    {#-
        PostgreSQL can replace a view by one with the same columns, by name and type, and optionally more after them. The
        temporary view must not outlive the statement: another session that drops what it reads would have to drop it too.
    -#}
    {%- set existing = regclass_of(relation) -%}
    {%- set query -%}
        create temporary view new_view as
        {{ sql }}
        ;

        select set_config('warehouse.fit', case
            when relkind is null then 'new'
            when relkind != 'v' then 'other columns'
            when exists (
                select attnum, attname, atttypid, atttypmod, attcollation
                from pg_attribute
                where attrelid = {{ existing }} and attnum > 0
                except
                select attnum, attname, atttypid, atttypmod, attcollation
                from pg_attribute
                where attrelid = 'pg_temp.new_view'::regclass and attnum > 0
            ) then 'other columns'
            when pg_get_viewdef({{ existing }}) = pg_get_viewdef('pg_temp.new_view'::regclass) then 'same'
            else 'same columns'
        end, true)
        from (values (1)) as always
        left join pg_class on pg_class.oid = {{ existing }};

        drop view pg_temp.new_view;

        select
            current_setting('warehouse.fit') as fit,
            (select relkind::text from pg_class where oid = {{ existing }}) as relkind,
            (select array_to_string(reloptions, ', ') from pg_class where oid = {{ existing }}) as options
    {%- endset -%}
    {%- set found = run_query((config.get('sql_header') or '') ~ query)[0] -%}
    {{ return({'fit': found['fit'], 'options': found['options'], 'type': {'v': 'view', 'm': 'materialized_view'}.get(found['relkind'], 'table')}) }}
{%- endmacro %}
