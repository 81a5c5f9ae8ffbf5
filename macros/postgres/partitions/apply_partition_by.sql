{% macro apply_partition_by() -%}
    {#-
        An existing table gets the partitions that the model declares now, with its rows. Otherwise, a change of partition_by
        would have no effect until the next --full-refresh. A mistake in the configuration stops the build before anything is
        created.
    -#}
    {%- if execute -%}
        {%- set partition_by = read_partition_by() -%}
        {%- do check_retain(partition_by) -%}
        {%- if config.get('materialized') == 'incremental' and is_incremental() and not is_left_alone() and shape_of(this) != wanted_shape(partition_by) -%}
            {%- do repartition(this) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
