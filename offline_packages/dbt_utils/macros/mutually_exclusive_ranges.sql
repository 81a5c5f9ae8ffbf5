{#- Within a partition, ordered by the bounds, a range must end before the next one starts. A null bound
    fails, except that the upper bound of the last range is not compared with a next range.
    The column names tell which of the two rules a stored row violates. -#}
{%- test mutually_exclusive_ranges(
    model,
    lower_bound_column,
    upper_bound_column,
    partition_by=none,
    gaps='allowed',
    zero_length_range_allowed=false
) -%}
    {%- set comparisons = {
        'allowed': ('<=', 'less_than_or_equal_to'),
        'not_allowed': ('=', 'equal_to'),
        'required': ('<', 'less_than'),
    } -%}
    {%- if gaps not in comparisons -%}
        {{ exceptions.raise_compiler_error(
            "mutually_exclusive_ranges: gaps must be allowed, not_allowed or required, got "
            ~ gaps | pprint ~ "."
        ) }}
    {%- endif -%}

    {%- set ends, ends_in_words = comparisons[gaps] -%}
    {%- set lasts, lasts_in_words = comparisons['allowed' if zero_length_range_allowed else 'required'] -%}
    {%- set has_length = 'lower_bound_' ~ lasts_in_words ~ '_upper_bound' -%}
    {%- set ends_in_time = 'upper_bound_' ~ ends_in_words ~ '_next_lower_bound' -%}
    {%- set per_partition = 'partition by ' ~ partition_by if partition_by else '' %}

with

ranges as (
    select
        {% if partition_by %}{{ partition_by }} as partition_by_col,{% endif %}
        {{ lower_bound_column }} as lower_bound,
        {{ upper_bound_column }} as upper_bound,
        lead({{ lower_bound_column }}) over forwards as next_lower_bound,
        row_number() over backwards = 1 as is_last_record
    from {{ model }}
    window
        forwards as (
            {{ per_partition }} order by {{ lower_bound_column }}, {{ upper_bound_column }}
        ),
        backwards as (
            {{ per_partition }} order by {{ lower_bound_column }} desc, {{ upper_bound_column }} desc
        )
),

judged as (
    select
        ranges.*,
        case when lower_bound {{ lasts }} upper_bound then true else false end as {{ has_length }},
        case
            when upper_bound {{ ends }} next_lower_bound then true
            when upper_bound is null or next_lower_bound is null then is_last_record
            else false
        end as {{ ends_in_time }}
    from ranges
)

select *
from judged
where not {{ has_length }} or not {{ ends_in_time }}
{%- endtest -%}
