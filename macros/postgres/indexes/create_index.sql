{% macro create_index(relation, index) -%}
    {#- Of a table that was just created in this transaction, and that no other session sees yet. -#}
    {%- set name = claimed_index_name(index.name) -%}
    create {{ index.unique }}index {{ adapter.quote(name) }} on {{ relation }} {{ index.definition }};
    {{ comment_on_index(name, index.comment) }}
{%- endmacro %}


{% macro columns_to_index(relation) -%}
    {#- A relation that does not exist, because dbt only compiles, has none. -#}
    {%- set columns = columns_of_contract() -%}
    {%- if columns is none -%}
        {%- set columns = adapter.get_columns_in_relation(relation) | map(attribute='name') | list or none -%}
    {%- endif -%}
    {{ return(columns) }}
{%- endmacro %}
