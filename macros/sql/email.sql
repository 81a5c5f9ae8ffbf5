{% macro is_email(column) -%}
    ({{ column }} ~ '^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:].]+$')
{%- endmacro %}


{% macro mask_email(column) -%}
    case
        when {{ column }} is null then null
        when {{ is_email(column) }}
            then left({{ column }}, 1) || '***@' || split_part({{ column }}, '@', 2)
        else '***'
    end
{%- endmacro %}
