{% macro read_together(queries) -%}
    {#- A statement costs dbt more than PostgreSQL, so queries of the catalog travel together. -#}
    {%- set query -%}
        select
            {%- for name, text in queries.items() %}
            (select coalesce(json_agg(found), '[]') from ({{ text }}) as found) as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
    {%- endset -%}
    {%- set row = run_query(query)[0] -%}
    {%- set results = {} -%}
    {%- for name in queries -%}
        {%- do results.update({name: fromjson(row[name])}) -%}
    {%- endfor -%}
    {{ return(results) }}
{%- endmacro %}
