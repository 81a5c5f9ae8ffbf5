{% macro use_utc() -%}
    {#- Keys are hashes of texts, and the text of a timestamp depends on the zone. Behind a pooler a session may be in any zone. -#}
    set local timezone = 'UTC'
{%- endmacro %}
