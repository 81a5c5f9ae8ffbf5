{% macro is_in(keys, columns=none) -%}
    {%- set columns = [columns] if columns is string else (columns or keys.columns) -%}
    {%- if keys.all -%}
        true
    {%- elif flags.EMPTY -%}
        false
    {%- else -%}
        ({{ columns | join(', ') }}) in (select {{ keys.columns | join(', ') }} from changed_keys)
    {%- endif -%}
{%- endmacro %}
