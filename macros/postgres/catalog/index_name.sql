{% macro index_name(base, suffix) -%}
    {#- PostgreSQL cuts names after 63 bytes, which could make two long names equal. -#}
    {%- set name = base ~ suffix -%}
    {%- if name.encode('utf-8') | length <= 63 -%}
        {{ return(name) }}
    {%- endif -%}
    {%- set tail = '_' ~ local_md5(name)[:8] ~ suffix -%}
    {%- set room = 63 - (tail.encode('utf-8') | length) -%}
    {{ return(base.encode('utf-8')[:room].decode('utf-8', 'ignore') ~ tail) }}
{%- endmacro %}
