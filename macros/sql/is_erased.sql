{% macro is_erased(user_id) -%}
    (left({{ user_id }}, 8) = 'erased_p')
{%- endmacro %}
