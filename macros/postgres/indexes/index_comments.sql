{% macro comment_of_index(hash, why) -%}
    {#- Marks the index as created by these macros, with its model and the hash of its definition. -#}
    {{ return('dbt:' ~ hash ~ ' of ' ~ this.schema ~ '.' ~ this.identifier ~ ': ' ~ (why or 'declared by the model') | trim) }}
{%- endmacro %}


{% macro comment_on_index(name, comment) -%}
    comment on index {{ adapter.quote(this.schema) }}.{{ adapter.quote(name) }} is {{ postgres_escape_comment(comment) }}
{%- endmacro %}
