{% macro check_contract_types() -%}
    {#-
        Of a new table. dbt compares only the names of types, and the table has those of the contract: a query that returns numeric for
        numeric(28, 9) fails at the next build, as a change of the schema.
    -#}
    {%- if (config.get('contract') or {}).enforced and config.get('materialized') == 'incremental' -%}
        {%- do run_query('create temporary view types_of_query as ' ~ model.compiled_code) -%}
        {%- set query -%}
            select
                of_query.attname as name,
                format_type(of_query.atttypid, of_query.atttypmod) as found,
                format_type(of_contract.atttypid, of_contract.atttypmod) as declared
            from pg_attribute as of_query
            inner join pg_attribute as of_contract on of_query.attname = of_contract.attname
            where of_query.attrelid = 'pg_temp.types_of_query'::regclass
                and of_contract.attrelid = '{{ this }}'::regclass
                and (of_query.atttypid, of_query.atttypmod) is distinct from (of_contract.atttypid, of_contract.atttypmod)
            order by of_query.attnum
        {%- endset -%}
        {%- set wrong = [] -%}
        {%- for row in run_query(query) -%}
            {%- do wrong.append(row['name'] ~ ' is ' ~ row['found'] ~ ' in the query and ' ~ row['declared'] ~ ' in the contract') -%}
        {%- endfor -%}
        {%- do run_query('drop view types_of_query') -%}
        {%- if wrong -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ ': ' ~ wrong | join('; ') ~ '. Cast each to the type of the contract, or change the contract.'
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
