{% macro create_partitioned_table_as(relation, sql) -%}
    {%- set partition_by = read_partition_by() -%}
    {%- set contract = config.get('contract') -%}
    {%- set stage = api.Relation.create(identifier=index_name(relation.identifier, '__stage')) -%}

    {%- call statement('stage') -%}
        {{ config.get('sql_header') or '' }}
        create temporary table {{ stage }} on commit drop as
        {{ sql }}
    {%- endcall -%}
    {%- for field in partition_by.fields -%}
        {%- do data_type_of(stage, field) -%}
    {%- endfor -%}
    {%- call statement('parent') -%}
        create table {{ relation }}
        {%- if contract.enforced %}
            {{ get_assert_columns_equivalent(sql) }}
            {{ get_table_columns_and_constraints() }}
        {%- else %}
            (like {{ stage }})
        {%- endif %}
        partition by {{ partition_by.method }} ({{ partition_by.quoted_fields | join(', ') }})
    {%- endcall -%}
    {%- do create_missing_partitions(relation, stage) -%}

    {%- set columns = adapter.dispatch('get_column_names', 'dbt')() if contract.enforced else '*' -%}
    insert into {{ relation }} {% if contract.enforced %}({{ columns }}){% endif %}
    select {{ columns }}
    from {{ stage }}
{%- endmacro %}
