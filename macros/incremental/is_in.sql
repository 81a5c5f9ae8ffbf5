{% macro is_in(keys, columns=none) -%}
    {%- do warn_of_former_name('is_in', 'is_changed') -%}
    {{ is_changed(keys, columns) }}
{%- endmacro %}
