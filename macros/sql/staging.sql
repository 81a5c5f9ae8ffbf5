{% macro calendar_timestamp(column) -%}
    case when {{ is_within_calendar(column) }} then {{ column }} end
{%- endmacro %}


{% macro not_within_calendar(column) -%}
    {{ is_within_calendar(column) }} is not true
{%- endmacro %}


{% macro version_started_at() -%}
    {#- A row cannot become valid after it was seen; without a plausible timestamp of its own it is valid from then. -#}
    case
        when coalesce(_deleted_at, updated_at) >= {{ beginning_of_time() }}
            then least(coalesce(_deleted_at, updated_at), _loaded_at)
        else _loaded_at
    end
{%- endmacro %}


{% macro exclusion_reason(reasons) -%}
    case
        {%- for reason, condition in reasons.items() %}
        when {{ condition }} then '{{ reason }}'
        {%- endfor %}
    end
{%- endmacro %}


{% macro is_included(reasons) -%}
    {#- Repeats the reasons: within one select PostgreSQL does not know the alias exclusion_reason. -#}
    ({{ exclusion_reason(reasons) }}) is null and _deleted_at is null
{%- endmacro %}
