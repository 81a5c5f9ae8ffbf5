{% macro with_siblings(keys, relation, column) -%}
    {%- if keys.all or flags.EMPTY -%}
        {{ return(keys) }}
    {%- endif -%}
    {%- set names = keys.columns | join(', ') -%}
    {%- set changed = '(' ~ names ~ ') in (select ' ~ names ~ ' from changed_keys)' -%}
    {#- A row that moved leaves its former siblings, which only the table of the model knows. -#}
    {%- do run_query(
        'insert into changed_keys (' ~ names ~ ') select ' ~ names ~ ' from ' ~ this
        ~ ' where ' ~ column ~ ' in ('
        ~ 'select ' ~ column ~ ' from ' ~ this ~ ' where ' ~ changed
        ~ ' union select ' ~ column ~ ' from ' ~ relation ~ ' where ' ~ changed
        ~ ') except select ' ~ names ~ ' from changed_keys; analyze changed_keys'
    ) -%}
    {{ return(keys) }}
{%- endmacro %}
