{% macro partitions_of(relation) -%}
    {#- The partitions of a table, as a list of dictionaries with name and bounds. -#}
    {%- set query -%}
        select
            pg_inherits.inhrelid::regclass::text as name,
            pg_get_expr(pg_class.relpartbound, pg_class.oid) as bounds
        from pg_inherits
        inner join pg_class on pg_inherits.inhrelid = pg_class.oid
        where pg_inherits.inhparent = to_regclass('{{ relation }}')
        order by name
    {%- endset -%}
    {%- set found = [] -%}
    {%- for row in run_query(query) -%}
        {%- do found.append({'name': row['name'], 'bounds': row['bounds']}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro default_partition_of(relation) -%}
    {{ return(partitions_of(relation) | selectattr('bounds', 'equalto', 'DEFAULT') | map(attribute='name') | first or none) }}
{%- endmacro %}
