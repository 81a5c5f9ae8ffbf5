{% materialization seed, adapter='postgres' %}
    {#-
        dbt's own materialization drops the table with everything on it, and fails if the file gained a column. Here the table is
        replaced like that of a model, also if its columns changed.
    -#}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set agate_table = load_agate_table() -%}
    {%- do store_result('agate_table', response='OK', agate_table=agate_table) -%}
    {{ drop_relation_if_exists(load_cached_relation(make_backup_relation(target_relation, 'table'))) }}
    {%- do begin_model() -%}

    {%- set existing_relation = relation_in_catalog(this) -%}
    {%- set is_kept = existing_relation is not none and existing_relation.is_table and not should_full_refresh() -%}
    {%- set old_relation = none -%}
    {%- if is_kept and flags.EMPTY -%}
        {#- dbt reads no row of the file, and a run of some models afterwards would find an empty seed. -#}
    {%- elif is_kept and columns_of_seed(agate_table) == (adapter.get_columns_in_relation(this) | map(attribute='name') | sort) -%}
        {%- do adapter.truncate_relation(existing_relation) -%}
        {%- do load_csv_rows(model, agate_table) if agate_table.rows | length -%}
    {%- else -%}
        {%- if existing_relation is not none -%}
            {%- set old_relation = make_backup_relation(target_relation, existing_relation.type) -%}
            {%- do remember_properties(existing_relation) -%}
            {%- do adapter.rename_relation(existing_relation, old_relation) -%}
        {%- endif -%}
        {%- do create_csv_table(model, agate_table) -%}
        {%- do load_csv_rows(model, agate_table) if agate_table.rows | length -%}
        {%- do create_indexes(target_relation) -%}
        {%- if old_relation is not none -%}
            {%- do prepare_successor(old_relation, target_relation) -%}
            {%- do carry_over_remembered(old_relation, target_relation) -%}
        {%- endif -%}
    {%- endif -%}
    {%- set code = 'INSERT' if is_kept and old_relation is none else 'CREATE' -%}
    {%- call noop_statement('main', code ~ ' ' ~ agate_table.rows | length, code, agate_table.rows | length) -%}
        select 1
    {%- endcall -%}
    {{ return(commit_model(target_relation, should_revoke=existing_relation is not none, backup=old_relation)) }}
{% endmaterialization %}


{% macro columns_of_seed(agate_table) -%}
    {#- As PostgreSQL stores them. -#}
    {%- set columns = [] -%}
    {%- for column in agate_table.column_names -%}
        {%- do columns.append(column if model.config.get('quote_columns') else column | lower) -%}
    {%- endfor -%}
    {{ return(columns | sort) }}
{%- endmacro %}
