{% macro changed_keys_of_upstream(columns, upstream, watermark) -%}
    {#- A table holds the numbers of transactions that it has read, which may have ended later than it was built. -#}
    {%- set xid_of_row = row_xid() if upstream.is_snapshot else '_row_xid' if upstream.is_view else 'null::bigint' -%}
    {%- set followed -%}
        {%- if upstream.kind == 'logged' -%}
            select distinct {{ upstream.columns | join(', ') }}
            from {{ state_relation('key_changes') }},
                jsonb_populate_record(null::{{ upstream.relation }}, changed_keys) as keys
            where model_name = '{{ upstream.name }}'
                and {{ is_unseen_xid('written_by', "'" ~ watermark['run_snapshot'] ~ "'") }}
        {%- else -%}
            select distinct {{ upstream.columns | join(', ') }}
            from {{ upstream.relation }}
            where {{ is_unseen_load(watermark, xid_of_row, load_time_of(upstream)) }}
        {%- endif -%}
    {%- endset -%}
    {{ look_up_keys(columns, upstream, keys_of_followed(upstream, followed)) }}
{%- endmacro %}
