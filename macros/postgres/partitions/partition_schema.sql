{% macro create_partition_schema() -%}
    {#- Before any model: models built at the same time would all try to create it. -#}
    select pg_advisory_xact_lock(hashtext('{{ partition_schema() }}'));
    {{ create_schema_if_missing(partition_schema()) }}
{%- endmacro %}


{% macro partition_schema() -%}
    {{ return(generate_schema_name('partitions', none)) }}
{%- endmacro %}
