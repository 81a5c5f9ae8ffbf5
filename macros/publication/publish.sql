{% macro publish() -%}
    {%- if execute and load_relation(state_relation('publications')) is none -%}
        {{ exceptions.raise_compiler_error('Nothing was built in target ' ~ target.name ~ ' yet: run `warehouse build` or `dbt build` first.') }}
    {%- endif -%}
    {%- set refused = publish_if_good() -%}
    {%- if refused.reasons -%}
        {{ exceptions.raise_compiler_error(not_published(refused)) }}
    {%- endif -%}
    {%- do log('Published to ' ~ generate_schema_name('reporting', none) ~ '.', info=true) -%}
{%- endmacro %}
