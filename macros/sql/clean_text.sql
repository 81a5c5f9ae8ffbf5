{% macro clean_text(column) -%}
    nullif(trim(both {{ whitespace() }} from {{ column }}::{{ text_type() }}), '')
{%- endmacro %}


{% macro foreign_key(column) -%}
    {#- A key is taken as it is, so that an index on it serves; a blank one refers to nothing. -#}
    case when {{ clean_text(column) }} is not null then {{ column }}::{{ text_type() }} end
{%- endmacro %}
