{#-
    Masks read nothing but their argument, once or more often, so that the lineage of personal data recognizes them in compiled SQL:
    analyses/masks.sql shows it the form of each one.
-#}


{% macro mask_email(column) -%}
    case
        when {{ column }} is null then null
        when {{ is_email(column) }}
            then left({{ column }}, 1) || '***@' || split_part({{ column }}, '@', 2)
        else '***'
    end
{%- endmacro %}


{% macro mask_phone(column) -%}
    {{ return(adapter.dispatch('mask_phone')(column)) }}
{%- endmacro %}


{% macro default__mask_phone(column) -%}
    {%- set digits = "regexp_replace(" ~ column ~ ", '[^0-9]', '', 'g')" -%}
    case
        when {{ column }} is null then null
        when length({{ digits }}) < 5 then '***'
        else '***' || right({{ digits }}, 2)
    end
{%- endmacro %}


{% macro spark__mask_phone(column) -%}
    {%- set digits = "regexp_replace(" ~ column ~ ", '[^0-9]', '')" -%}
    case
        when {{ column }} is null then null
        when length({{ digits }}) < 5 then '***'
        else '***' || right({{ digits }}, 2)
    end
{%- endmacro %}


{% macro mask_name(column) -%}
    {{ return(adapter.dispatch('mask_name')(column)) }}
{%- endmacro %}


{% macro default__mask_name(column) -%}
    {#- Each word becomes its initial, then each white space one blank. \s does not have the no-break space on all systems. -#}
    nullif(trim(regexp_replace(
        regexp_replace({{ column }}, '([^\s\u00A0])[^\s\u00A0]*', '\1.', 'g'),
        '[\s\u00A0]+', ' ', 'g'
    )), '')
{%- endmacro %}


{% macro spark__mask_name(column) -%}
    nullif(trim(regexp_replace(
        regexp_replace({{ column }}, r'([^\s\u00A0])[^\s\u00A0]*', '$1.'),
        r'[\s\u00A0]+', ' '
    )), '')
{%- endmacro %}


{% macro mask_birth_date(column) -%}
    {#- The year of an infinite date is no integer. -#}
    case
        when {{ column }} between '0001-01-01'::date and '9999-12-31'::date
            then extract(year from {{ column }})::int
    end
{%- endmacro %}


{% macro mask_free_text(column) -%}
    case when {{ column }} is not null then '***' end
{%- endmacro %}
