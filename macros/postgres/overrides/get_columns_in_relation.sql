{% macro postgres__get_columns_in_relation(relation) -%}
    {#- dbt's own macro queries information_schema, which does not list materialized views. -#}
    {%- set columns = dbt.postgres__get_columns_in_relation(relation) -%}
    {%- if columns or not execute -%}
        {{ return(columns) }}
    {%- endif -%}
    {%- set query -%}
        select
            attname as column_name,
            format_type(atttypid, null) as data_type,
            information_schema._pg_char_max_length(atttypid, atttypmod) as character_maximum_length,
            information_schema._pg_numeric_precision(atttypid, atttypmod) as numeric_precision,
            information_schema._pg_numeric_scale(atttypid, atttypmod) as numeric_scale
        from pg_attribute
        where attrelid = {{ regclass_of(relation) }} and attnum > 0 and not attisdropped
        order by attnum
    {%- endset -%}
    {{ return(sql_convert_columns_in_relation(run_query(query))) }}
{%- endmacro %}
