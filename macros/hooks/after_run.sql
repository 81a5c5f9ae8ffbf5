{% macro after_run() -%}
    {%- do reconcile_foreign_keys_of_tests() -%}
    {{ prune_changed_keys() }}
{%- endmacro %}
