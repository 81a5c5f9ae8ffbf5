{% macro lock_patience() -%}
    {%- set attempts = var('replace_lock_attempts') -%}
    {%- if attempts is not integer or attempts is boolean or attempts < 1 -%}
        {{ exceptions.raise_compiler_error(
            "The variable replace_lock_attempts is '" ~ attempts ~ "'; it takes a whole number from 1, such as 30."
        ) }}
    {%- elif not modules.re.fullmatch('[1-9][0-9]* *(ms|s|min)', var('replace_lock_timeout') | string) -%}
        {{ exceptions.raise_compiler_error(
            "The variable replace_lock_timeout is '" ~ var('replace_lock_timeout') ~ "'; it takes a time with its unit, such as 800ms or 2s."
        ) }}
    {%- endif -%}
    {{ return({'lock_timeout': "'" ~ var('replace_lock_timeout') ~ "'", 'attempts': attempts}) }}
{%- endmacro %}
