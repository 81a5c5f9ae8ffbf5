{% macro postgres__make_relation_with_suffix(base_relation, suffix, dstring) -%}
    {#-
        dbt's own macro counts characters where PostgreSQL counts bytes, and cuts two long names with the same beginning to one
        name, so that models would drop each other's relations.
    -#}
    {%- set moment = modules.datetime.datetime.now().strftime('%H%M%S%f') if dstring else '' -%}
    {{ return(base_relation.incorporate(path={'identifier': index_name(base_relation.identifier, suffix ~ moment)})) }}
{%- endmacro %}
