{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set partition_by = config.get('partition_by') -%}
    {%- if partition_by and not temporary -%}
        {{ create_partitioned_table_as(relation, sql, partition_by) }}
    {%- else -%}
        {{ dbt.postgres__create_table_as(temporary, relation, sql) }}
    {%- endif -%}
{%- endmacro %}
