{% macro after_run() -%}
    {{ prune_changed_keys() }}
{%- endmacro %}
