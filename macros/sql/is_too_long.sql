{% macro is_too_long(column) -%}
    {#- An entry of a B-tree index in PostgreSQL holds about 2,700 bytes; `warehouse load` has the same limit. -#}
    (octet_length({{ column }}::{{ text_type() }}) > 2000)
{%- endmacro %}
