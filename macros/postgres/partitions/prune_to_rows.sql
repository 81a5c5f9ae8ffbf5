{% macro prune_to_rows(alias, relation, rows) -%}
    {#- A condition with constants, from which the planner excludes partitions that contain none of the rows. -#}
    {%- set partition_by = read_partition_by() -%}
    {%- if not partition_by or partition_by.method != 'range' -%}
        {{ return('true') }}
    {%- endif -%}
    {%- set periods = periods_of_rows(relation, rows, partition_by) -%}
    {%- if periods is none -%}
        true
    {%- elif not periods -%}
        false
    {%- else -%}
        (
            {%- for period in periods %}
            {{ 'or ' if not loop.first }}{{ alias }}.{{ partition_by.quoted_field }} >= '{{ period.lower_bound }}'
            and {{ alias }}.{{ partition_by.quoted_field }} < '{{ period.upper_bound }}'
            {%- endfor %}
        )
    {%- endif -%}
{%- endmacro %}


{% macro periods_of_rows(relation, rows, partition_by) -%}
    {#-
        Adjoining periods are merged. None means all: a row is in the default partition, or there are more periods than a plan
        should list.
    -#}
    {%- set period = period_of(relation, partition_by) -%}
    {%- set query -%}
        select
            {{ bound_of('beginning', period) }}::text as lower_bound,
            {{ bound_of('beginning + ' ~ period.length, period) }}::text as upper_bound,
            coalesce(isfinite(beginning), false) as is_finite
        from (select distinct {{ period.beginning }} as beginning from {{ rows }}) as periods
        order by beginning
    {%- endset -%}
    {%- set periods = [] -%}
    {%- for row in run_query(query) -%}
        {%- if not row['is_finite'] -%}
            {{ return(none) }}
        {%- elif periods and periods[-1].upper_bound == row['lower_bound'] -%}
            {%- do periods[-1].update({'upper_bound': row['upper_bound']}) -%}
        {%- else -%}
            {%- do periods.append({'lower_bound': row['lower_bound'], 'upper_bound': row['upper_bound']}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(periods if periods | length <= 100 else none) }}
{%- endmacro %}
