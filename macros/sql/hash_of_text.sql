{% macro hash_of_text(expression) -%}
    {{ return(adapter.dispatch('hash_of_text')(expression)) }}
{%- endmacro %}


{% macro default__hash_of_text(expression) -%}
    hashtextextended({{ expression }}, 0)
{%- endmacro %}


{% macro spark__hash_of_text(expression) -%}
    case when {{ expression }} is not null then xxhash64({{ expression }}) end
{%- endmacro %}
