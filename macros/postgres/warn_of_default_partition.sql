{% macro warn_of_default_partition() -%}
    {#- A post-hook. -#}
    {%- if execute and config.get('partition_by') -%}
        {%- for partition in partitions_of(this) if partition.bounds == 'DEFAULT' -%}
            {%- set rows = run_query('select count(*) from ' ~ partition.name)[0][0] -%}
            {%- if rows -%}
                {%- do exceptions.warn(
                    this.identifier ~ ': ' ~ rows ~ ' rows are in the default partition ' ~ partition.name ~ ', because their '
                    ~ read_partition_by().fields | join(', ') ~ ' is in no other one (null or infinite).'
                ) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
