{% macro privacy_relation(name) -%}
    {{ return(api.Relation.create(database=target.database, schema='privacy', identifier=name)) }}
{%- endmacro %}
