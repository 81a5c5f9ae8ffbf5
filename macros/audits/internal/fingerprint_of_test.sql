{% macro fingerprint_of_test(test) -%}
    {#- What decides which rows fail, and how many are too many. -#}
    {{ return(local_md5(query_of_test(test, 'rows_of_table') ~ test.config.severity)) }}
{%- endmacro %}
