{% macro relation_in_catalog(relation) -%}
    {#- Another build may have replaced it since dbt filled its cache. -#}
    {%- set found = run_query('select relkind from pg_class where oid = ' ~ regclass_of(relation)) -%}
    {%- if not found | length -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(relation.incorporate(type={'v': 'view', 'm': 'materialized_view'}.get(found[0]['relkind'], 'table'))) }}
{%- endmacro %}
