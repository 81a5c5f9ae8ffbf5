{% macro postgres__reset_csv_table(model, full_refresh, old_relation, agate_table) -%}
    {%- if flags.EMPTY and not full_refresh -%}
        {#- dbt reads no row of the file, and a run of some models afterwards would find an empty seed. -#}
        {{ return('') }}
    {%- endif -%}
    {{ return(default__reset_csv_table(model, full_refresh, old_relation, agate_table)) }}
{%- endmacro %}
