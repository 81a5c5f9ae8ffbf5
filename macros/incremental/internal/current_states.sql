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


{% macro is_same_state(changes, held, names) -%}
    {#- The current state of a key. -#}
    {%- for column, name in keys_of_states().items() %}
    {{ held }}.{{ column }} = {{ changes }}.{{ name }} and
    {%- endfor %}
    {{ is_current_state(held, names) }}
{%- endmacro %}


{% macro is_current_state(held, names) -%}
    {%- set valid_to = held ~ '.' ~ names.dbt_valid_to -%}
    {%- set current = config.get('dbt_valid_to_current') -%}
    ({{ valid_to ~ ' = ' ~ current ~ ' or ' if current }}{{ valid_to }} is null)
{%- endmacro %}
