{% macro exclusion_reason(reasons) -%}
    case
        {%- for reason, condition in reasons.items() %}
        when {{ condition }} then '{{ reason }}'
        {%- endfor %}
    end
{%- endmacro %}


{% macro is_included(reasons) -%}
    {#- Repeats the reasons: within one select PostgreSQL does not know the alias exclusion_reason. -#}
    (({{ exclusion_reason(reasons) }}) is null and _deleted_at is null)
{%- endmacro %}
