{% macro replace_relation(old, new, takes_name=false) -%}
    {%- do run_query(create_functions_that_replace()) -%}
    {%- set outcome = run_query(
        'select * from pg_temp.replace_relation('
        ~ regclass_of(old) ~ ', ' ~ regclass_of(new) ~ ', ' ~ takes_name ~ ')'
    )[0] -%}
    {%- if outcome['lost'] -%}
        {%- do exceptions.warn(old ~ ' was replaced. Dropped, because they do not fit the new version: ' ~ outcome['lost']) -%}
    {%- endif -%}
    {#- dbt's cache drops the dependents together with a relation; these still exist. -#}
    {%- do adapter.cache_dropped(old) -%}
    {%- set readers = relations_on(old if takes_name else new) -%}
    {%- set schemas = graph.nodes.values() | map(attribute='schema') | list if readers | length else [] -%}
    {%- for row in readers if row['schema'] in schemas -%}
        {%- do adapter.cache_added(api.Relation.create(
            database=new.database, schema=row['schema'], identifier=row['identifier'], type=row['type']
        )) -%}
    {%- endfor -%}
    {{ return(outcome['trouble']) }}
{%- endmacro %}
