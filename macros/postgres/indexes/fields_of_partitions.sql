{% macro fields_of_partitions() -%}
    {#- As configured: indexes are checked before partition_by is. -#}
    {%- set partition_by = config.get('partition_by') -%}
    {%- set fields = (partition_by.get('fields') if partition_by is mapping else none) or [] -%}
    {{ return([fields] if fields is string else fields) }}
{%- endmacro %}
