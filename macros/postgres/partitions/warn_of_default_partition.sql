{% macro warn_of_default_partition() -%}
    {#- Called by before_commit. -#}
    {%- if execute and config.get('partition_by') -%}
        {%- set partition_by = read_partition_by() -%}
        {%- set partition = default_partition_of(this) -%}
        {%- set is_finite = 'isfinite(' ~ partition_by.quoted_field ~ ')' if partition_by.method == 'range' else 'true' -%}
        {%- set found = run_query(
            'select count(*) as rows, count(*) filter (where ' ~ is_finite ~ ') as finite from ' ~ partition
        )[0] if partition else {'rows': 0} -%}
        {%- if found['rows'] -%}
            {%- set why -%}
                fits no other partition
                {%- if partition_by.method == 'range' %} ({{ found['rows'] - found['finite'] }} null or infinite
                {%- if found['finite'] %}, {{ found['finite'] }} in a period whose partition is missing or covers a part of it{% endif %})
                {%- endif -%}
            {%- endset -%}
            {%- do exceptions.warn(
                this.identifier ~ ': ' ~ found['rows'] ~ ' rows are in the default partition ' ~ partition ~ ', because their '
                ~ partition_by.field ~ ' ' ~ why ~ '.'
                ~ ('' if partition_by.default_partition else ' The model sets default_partition: false; the next build that finds it empty drops it.')
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
