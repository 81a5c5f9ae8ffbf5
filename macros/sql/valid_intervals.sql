{% macro version_started_at() -%}
    {#- A row cannot become valid after it was seen; without a plausible timestamp of its own it is valid from then. -#}
    case
        when coalesce(_deleted_at, updated_at) >= {{ beginning_of_time() }}
            then least(coalesce(_deleted_at, updated_at), _loaded_at)
        else _loaded_at
    end
{%- endmacro %}


{% macro valid_intervals(states, key, attributes) -%}
    {#-
        A state that equals the previous one is not a new version. A version starts when the application says it changed; if
        that is not later than the start of an earlier version, it starts when it was loaded.
    -#}
    select
        *,
        case
            when row_number() over (partition by {{ key }} order by state_valid_from) = 1
                then {{ beginning_of_time() }}
            else started_at
        end as effective_date,
        coalesce(
            lead(started_at) over (partition by {{ key }} order by state_valid_from),
            {{ end_of_time() }}
        ) as expiry_date
    from (
        select
            *,
            max(claimed_start) over (partition by {{ key }} order by state_valid_from) as started_at
        from (
            select
                *,
                case
                    when state_started_at <= max(state_started_at) over (
                        partition by {{ key }}
                        order by state_valid_from
                        rows between unbounded preceding and 1 preceding
                    ) then state_valid_from
                    else state_started_at
                end as claimed_start
            from (
                select
                    *,
                    {{ differs_from_previous(key, 'state_valid_from', attributes) }} as is_version
                from (
                    {{ corrected_states(states, key, attributes) }}
                ) as corrected
            ) as states
            where is_version
        ) as claimed
    ) as started
{%- endmacro %}
