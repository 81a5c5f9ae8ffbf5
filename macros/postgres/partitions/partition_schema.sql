{% macro create_partition_schema() -%}
    {#- For on-run-start: models that are built at the same time would all try to make it. -#}
    select pg_advisory_xact_lock(hashtext('{{ partition_schema() }}'));
    create schema if not exists {{ adapter.quote(partition_schema()) }}
{%- endmacro %}


{% macro partition_schema() -%}
    {{ return(generate_schema_name('partitions', none)) }}
{%- endmacro %}
