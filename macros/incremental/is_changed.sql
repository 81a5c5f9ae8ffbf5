{% macro is_changed(keys, columns=none) -%}
    {%- set columns = as_list(columns or keys.columns) -%}
    {%- if keys.all -%}
        true
    {%- elif flags.EMPTY -%}
        false
    {%- else -%}
        ({{ columns | join(', ') }}) in (select {{ keys.columns | join(', ') }} from changed_keys)
    {%- endif -%}
{%- endmacro %}
