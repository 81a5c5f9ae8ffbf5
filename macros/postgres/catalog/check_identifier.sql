{% macro check_identifier(name, what) -%}
    {#- PostgreSQL cuts a longer name with a mere notice, and the next run does not find the relation, or finds another one. -#}
    {%- set size = name.encode('utf-8') | length -%}
    {%- if size > 63 -%}
        {{ exceptions.raise_compiler_error(
            what ~ " is '" ~ name ~ "', which has " ~ size ~ ' bytes; PostgreSQL takes up to 63.'
        ) }}
    {%- endif -%}
{%- endmacro %}
