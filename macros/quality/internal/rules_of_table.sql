{% macro rules_of_table(table_name) -%}
    {{ return(node_of_name('model', 'stg_app__' ~ table_name).config.meta.get('rules', {})) }}
{%- endmacro %}
