{% macro partitions_of(relation) -%}
    {#- The partitions of a table, as a list of dictionaries with name and is_default. -#}
    {%- set query -%}
        select
            partition::text as name,
            is_default
        from {{ partition_bounds() }} as partitions
        where parent = {{ regclass_of(relation) }}
        order by name
    {%- endset -%}
    {%- set found = [] -%}
    {%- for row in run_query(query) -%}
        {%- do found.append({'name': row['name'], 'is_default': row['is_default']}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro default_partition_of(relation) -%}
    {{ return(partitions_of(relation) | selectattr('is_default') | map(attribute='name') | first or none) }}
{%- endmacro %}
