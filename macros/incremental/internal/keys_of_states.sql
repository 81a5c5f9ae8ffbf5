{% macro keys_of_states() -%}
    {#- How dbt names the columns of the unique key in its table of changes. -#}
    {%- set unique_key = config.get('unique_key') -%}
    {%- if unique_key is string -%}
        {{ return({unique_key: 'dbt_unique_key'}) }}
    {%- endif -%}
    {%- set names = {} -%}
    {%- for column in unique_key -%}
        {%- do names.update({column: 'dbt_unique_key_' ~ loop.index}) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}
