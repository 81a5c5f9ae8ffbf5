{% macro keys_of_backfill(columns, upstreams, event_time) -%}
    {#- The keys of the window, in the upstreams and in the table itself, which may have rows that no upstream has. -#}
    {%- for upstream in upstreams if upstream.event_time %}
    union
    {%- set found -%}
        select distinct {{ upstream.columns | join(', ') }}
        from {{ upstream.relation }}
        where {{ is_in_backfill(upstream.event_time) }}
    {%- endset %}
    {{ look_up_keys(columns, upstream, keys_of_followed(upstream, found)) }}
    {%- endfor %}
    {%- if event_time %}
    union
    select {{ columns | join(', ') }} from {{ this }} where {{ is_in_backfill(event_time, is_date=(model.columns.get(event_time) or {}).get('data_type') | lower == 'date') }}
    {%- endif %}
{%- endmacro %}
