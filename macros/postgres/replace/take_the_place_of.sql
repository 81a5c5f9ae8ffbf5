{% macro take_the_place_of(relation, new) -%}
    {%- set trouble = replace_relation(relation, new, takes_name=true) -%}
    {%- if trouble -%}
        {{ exceptions.raise_compiler_error(relation ~ ' could not be replaced; nothing was changed: ' ~ trouble ~ '.') }}
    {%- endif -%}
{%- endmacro %}
