{% macro changed_keys_of_upstream(columns, upstream, watermark) -%}
    {%- set selected = (upstream.key or upstream.columns) | join(', ') -%}
    {%- set found -%}
        {%- if upstream.kind == 'logged' -%}
            select distinct {{ selected }}
            from {{ state_relation('key_changes') }},
                jsonb_populate_record(null::{{ upstream.relation }}, changed_keys) as keys
            where model_name = '{{ upstream.name }}'
                and {{ is_unseen_xid('written_by', "'" ~ watermark['run_snapshot'] ~ "'") }}
        {%- else -%}
            select distinct {{ selected }}
            from {{ upstream.relation }}
            where {{ is_unseen_load(watermark, row_xid() if upstream.is_snapshot else '_row_xid', load_time_of(upstream)) }}
        {%- endif -%}
    {%- endset -%}
    {{ look_up_keys(columns, upstream, found) }}
{%- endmacro %}
