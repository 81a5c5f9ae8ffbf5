{% macro postgres__get_create_index_sql(relation, index_dict) -%}
    {#- Of a table that was just made in this transaction, and that nobody else sees yet. -#}
    {%- set columns = columns_of_contract() -%}
    {%- if columns is none -%}
        {%- set columns = adapter.get_columns_in_relation(relation) | map(attribute='name') | list or none -%}
    {%- endif -%}
    {%- do declared_indexes(columns) -%}
    {%- set entries = config.get('indexes') or [] -%}
    {%- set number = entries.index(index_dict) + 1 if index_dict in entries else 1 -%}
    {%- set index = declared_index(index_dict, number, columns) -%}
    {%- set name = claimed_index_name(index.name) -%}
    create {{ index.unique }}index {{ adapter.quote(name) }} on {{ relation }} {{ index.definition }};
    {{ comment_on_index(name, index.comment) }}
{%- endmacro %}
