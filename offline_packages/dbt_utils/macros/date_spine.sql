{#- dbt now has a macro with the same name and meaning. -#}
{%- macro date_spine(datepart, start_date, end_date) -%}
    {{- dbt.date_spine(datepart, start_date, end_date) -}}
{%- endmacro -%}
