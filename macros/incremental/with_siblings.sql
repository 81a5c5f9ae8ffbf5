{% macro with_siblings(keys, relation, column) -%}
    {%- set names = keys.columns | join(', ') -%}
    {%- if keys.all or flags.EMPTY -%}
        {%- if execute and model.resource_type != 'unit_test' and flags.WHICH in ['build', 'run'] and not flags.EMPTY and not is_sample() -%}
            {#- Only later builds read the column, which must be in both. -#}
            {%- do run_query('select ' ~ names ~ ', ' ~ column ~ ' from ' ~ relation ~ ' limit 0') -%}
            {%- do need_own_columns([column]) -%}
        {%- endif -%}
        {{ return(keys) }}
    {%- endif -%}
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
