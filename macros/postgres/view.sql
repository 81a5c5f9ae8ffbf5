{% materialization view, adapter='postgres' %}
    {#-
        dbt's own drops the view that was there, and everything that stands on it. Here a view that says the same
        stays untouched, and another one takes its place under the same identity, so readers never miss it.
    -#}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set fit = fit_of_view(existing_relation, sql) -%}
    {%- if fit == 'other columns' -%}
        {{ return(dbt.materialization_view_default()) }}
    {%- endif -%}

    {%- do begin_model(sql) -%}
    {%- if fit == 'same' -%}
        {%- do store_raw_result(name='main', message='UNCHANGED', code='UNCHANGED', rows_affected='-1') -%}
    {%- else -%}
        {%- set create_view -%}
            create or replace view {{ target_relation }} as
            {{ sql }}
        {%- endset -%}
        {%- call statement('main') -%}
            {{ config.get('sql_header') or '' }}
            {{ create_view if fit == 'new' else try_patiently(create_view, 'the view ' ~ this ~ ' could not be replaced') }}
        {%- endcall -%}
        {%- do store_raw_result(name='main', message='CREATE VIEW', code='CREATE VIEW', rows_affected='-1') -%}
    {%- endif -%}
    {{ return(commit_model(target_relation, should_revoke=fit != 'new')) }}
{% endmaterialization %}


{% macro fit_of_view(existing_relation, sql) -%}
    {%- if existing_relation is none -%}
        {{ return('new') }}
    {%- elif not existing_relation.is_view -%}
        {{ return('other columns') }}
    {%- endif -%}
    {#- PostgreSQL replaces a view by one that has its columns, by name and type, and perhaps more behind them. -#}
    {%- set query -%}
        create temporary view view_to_come as
        {{ sql }}
        ;

        select
            case
                when exists (
                    select attnum, attname, atttypid, atttypmod, attcollation
                    from pg_attribute
                    where attrelid = to_regclass('{{ existing_relation }}') and attnum > 0
                    except
                    select attnum, attname, atttypid, atttypmod, attcollation
                    from pg_attribute
                    where attrelid = 'pg_temp.view_to_come'::regclass and attnum > 0
                ) then 'other columns'
                when pg_get_viewdef(to_regclass('{{ existing_relation }}')) = pg_get_viewdef('pg_temp.view_to_come'::regclass)
                    then 'same'
                else 'same columns'
            end as fit
    {%- endset -%}
    {%- set fit = run_query((config.get('sql_header') or '') ~ query)[0][0] -%}
    {%- do run_query('drop view pg_temp.view_to_come') -%}
    {{ return(fit) }}
{%- endmacro %}
