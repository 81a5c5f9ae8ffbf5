{% macro prune_to_batch(alias, periods) -%}
    {#- A condition with constants, so that the planner leaves out the partitions which this batch does not concern. -#}
    {%- if periods -%}
        (
            {%- for period in periods %}
            {{ 'or ' if not loop.first }}{{ alias }}.{{ period.field }} >= '{{ period.lower_bound }}' and {{ alias }}.{{ period.field }} < '{{ period.upper_bound }}'
            {%- endfor %}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{% macro periods_of_batch(target_relation, temp_relation, key_columns) -%}
    {#-
        The periods in which rows of these keys are or will be, adjoining ones as one. Where they are now, only the indexes of all partitions
        can tell: a row may come again with another moment. No periods mean all: a run of all keys, a row
        in the default partition, or more periods than a plan should list.
    -#}
    {%- set partition_by = read_partition_by() -%}
    {%- if not partition_by or partition_by.method != 'range' or not key_columns -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set period = period_of(target_relation, partition_by) -%}
    {%- set keys = key_columns | join(', ') -%}
    {%- set query -%}
        select
            {{ bound_of('beginning', period) }}::text as lower_bound,
            {{ bound_of('beginning + ' ~ period.length, period) }}::text as upper_bound,
            bool_and(coalesce(isfinite(beginning), false)) over () as are_all_finite
        from (
            select {{ period.beginning }} as beginning from {{ temp_relation }}
            union
            select {{ period.beginning }} as beginning from {{ target_relation }} where ({{ keys }}) in (select {{ keys }} from changed_keys)
        ) as periods
        order by beginning
    {%- endset -%}
    {%- set periods = [] -%}
    {%- for row in run_query(query) -%}
        {%- if not row['are_all_finite'] -%}
            {{ return([]) }}
        {%- endif -%}
        {%- if periods and periods[-1].upper_bound == row['lower_bound'] -%}
            {%- do periods[-1].update({'upper_bound': row['upper_bound']}) -%}
        {%- else -%}
            {%- do periods.append({'field': partition_by.field, 'lower_bound': row['lower_bound'], 'upper_bound': row['upper_bound']}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(periods if periods | length <= 100 else []) }}
{%- endmacro %}
