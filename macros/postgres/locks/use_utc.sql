{% macro use_utc() -%}
    {#- Keys are hashes of texts, and a moment reads differently in every zone. A session may be in any, behind a pooler. -#}
    set local timezone = 'UTC'
{%- endmacro %}
