{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- if model.resource_type != 'model' or not config.get('partition_by') -%}
        {{ dbt.postgres__create_table_as(temporary, relation, sql) }}
    {%- elif not temporary -%}
        {{ create_partitioned_table_as(relation, sql) }}
    {%- else -%}
        {#- The rows of an incremental run. Their partitions must exist before any strategy writes them. -#}
        {%- call statement('batch') -%}
            {{ dbt.postgres__create_table_as(true, relation, sql) }}
        {%- endcall -%}
        {%- do add_missing_partitions(this, relation) -%}
        select 1
    {%- endif -%}
{%- endmacro %}
