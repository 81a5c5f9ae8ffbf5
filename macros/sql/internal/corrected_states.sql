{% macro corrected_states(states, key, attributes) -%}
    {#-
        Two states with one _loaded_at are two readings of one row, by different definitions: the last one counts, from the
        time of the first. So do states that a reading found equal.
    -#}
    select *
    from (
        select
            *,
            row_number() over (
                partition by {{ key }}, state_number
                order by is_correction desc, case when is_correction then dbt_valid_from end desc, dbt_valid_from
            ) as number_from_last,
            first_value(dbt_valid_from) over first_of_state as state_valid_from,
            least(
                first_value(version_started_at) over first_of_state, first_value(dbt_valid_from) over first_of_state
            ) as state_started_at
        from (
            select
                *,
                sum(case when is_correction or not is_different then 0 else 1 end) over (
                    partition by {{ key }}
                    order by dbt_valid_from
                ) as state_number
            from (
                select
                    *,
                    coalesce(
                        _loaded_at = lag(_loaded_at) over (partition by {{ key }} order by dbt_valid_from), false
                    ) as is_correction,
                    {{ differs_from_previous(key, 'dbt_valid_from', attributes) }} as is_different
                from {{ states }}
            ) as compared
        ) as numbered
        window first_of_state as (partition by {{ key }}, state_number order by dbt_valid_from)
    ) as readings
    where number_from_last = 1
{%- endmacro %}


{% macro differs_from_previous(key, time, attributes) -%}
    (
        row_number() over (partition by {{ key }} order by {{ time }}) = 1
        {%- for attribute in attributes %}
        or {{ attribute }} is distinct from lag({{ attribute }}) over (partition by {{ key }} order by {{ time }})
        {%- endfor %}
    )
{%- endmacro %}
