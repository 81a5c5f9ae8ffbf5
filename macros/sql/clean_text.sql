{% macro clean_text(column) -%}
    nullif(trim(both {{ whitespace() }} from {{ column }}::{{ text_type() }}), '')
{%- endmacro %}


{% macro foreign_key(column) -%}
    {#- The key is not cleaned, so that an index on it can be used; a blank one refers to nothing. -#}
    case when {{ clean_text(column) }} is not null then {{ column }}::{{ text_type() }} end
{%- endmacro %}
