{% macro publish() -%}
    {%- set refused = publish_if_good() -%}
    {%- if refused -%}
        {{ exceptions.raise_compiler_error(not_published(refused)) }}
    {%- endif -%}
    {%- do log('Published to ' ~ generate_schema_name('reporting', none) ~ '.', info=true) -%}
{%- endmacro %}
