{% macro apply_partition_by() -%}
    {#-
        A pre-hook: a table that exists gets the partitions that the model declares now, with the rows it has. Without
        it, a model that begins to declare them would go on as it was until somebody thinks of --full-refresh. And what is
        wrong in the configuration is said before anything is built.
    -#}
    {%- if execute -%}
        {%- set partition_by = read_partition_by() -%}
        {%- do check_retain(partition_by) -%}
        {%- if config.get('materialized') == 'incremental' and is_incremental() and shape_of(this) != wanted_shape(partition_by) -%}
            {%- do repartition(this) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
