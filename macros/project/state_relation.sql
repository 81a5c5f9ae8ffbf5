{% macro state_relation(identifier) -%}
    {{ return(api.Relation.create(
        database=target.database,
        schema=generate_schema_name('observability', none),
        identifier=identifier,
        type='table'
    )) }}
{%- endmacro %}
