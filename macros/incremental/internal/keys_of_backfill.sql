{% macro keys_of_backfill(columns, upstreams, dated_by) -%}
    {#- The keys of the window, in the upstreams and in the table itself, which may have rows that no upstream has. -#}
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
