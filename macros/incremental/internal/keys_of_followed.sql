{% macro keys_of_followed(upstream, followed) -%}
    {#- The expressions of the key see the followed columns only; others are not logged. -#}
    {{ return('select distinct ' ~ upstream.key | join(', ') ~ ' from (' ~ followed ~ ') as followed' if upstream.key else followed) }}
{%- endmacro %}
