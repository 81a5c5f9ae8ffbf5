{% macro row_xid() -%}
    xmin::text::bigint
{%- endmacro %}
