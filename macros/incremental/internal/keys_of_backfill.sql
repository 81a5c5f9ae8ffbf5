{% macro keys_of_backfill(columns, upstreams, dated_by) -%}
    {#- What the window holds, in the upstreams and in the table itself, where rows may stand that no upstream has. -#}
    {%- for upstream in upstreams if upstream.dated_by %}
    union
    {%- set found -%}
        select distinct {{ upstream.columns | join(', ') }}
        from {{ upstream.relation }}
        where {{ is_in_backfill(upstream.dated_by) }}
    {%- endset %}
    {{ led_through(columns, upstream, found) }}
    {%- endfor %}
    {%- if dated_by %}
    union
    select {{ columns | join(', ') }} from {{ this }} where {{ is_in_backfill(dated_by) }}
    {%- endif %}
{%- endmacro %}
