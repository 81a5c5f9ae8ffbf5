{% macro computes_all_keys() -%}
    {#- Then the rows that the run leaves as they are were not asked either. -#}
    {{ return(not compares_all_rows() and run_query("select to_regclass('pg_temp.changed_keys') is null")[0][0]) }}
{%- endmacro %}
