{% macro comment_of_index(hash, why) -%}
    {#- Says that the index is ours, of which model, and what it was made from. -#}
    {{ return('dbt:' ~ hash ~ ' of ' ~ this.schema ~ '.' ~ this.identifier ~ ': ' ~ (why or 'declared by the model') | trim) }}
{%- endmacro %}


{% macro comment_on_index(name, comment) -%}
    comment on index {{ adapter.quote(this.schema) }}.{{ adapter.quote(name) }} is {{ postgres_escape_comment(comment) }}
{%- endmacro %}
