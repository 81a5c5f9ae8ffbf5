{#- dbt has a macro of the same name and meaning by now. -#}
{%- macro date_spine(datepart, start_date, end_date) -%}
    {{- dbt.date_spine(datepart, start_date, end_date) -}}
{%- endmacro -%}
