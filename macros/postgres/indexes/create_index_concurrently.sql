{% macro create_index_concurrently(relation, name, index) -%}
    {%- do log(this.identifier ~ ': creating index ' ~ index.name ~ ' on ' ~ relation ~ '.', info=true) -%}
    {%- do run_patiently(
        'create ' ~ index.unique ~ 'index concurrently ' ~ adapter.quote(name) ~ ' on ' ~ relation ~ ' ' ~ index.definition
    ) -%}
{%- endmacro %}
