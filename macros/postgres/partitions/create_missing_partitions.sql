{% macro create_missing_partitions(relation, rows_relation) -%}
    {%- for partition in missing_partitions(relation, rows_relation) -%}
        {%- do create_partition(relation, partition) -%}
    {%- endfor -%}
{%- endmacro %}
