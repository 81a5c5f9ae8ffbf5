{% macro keys_since_test(columns, nodes) -%}
    {%- set found = [] -%}
    {%- for node in nodes -%}
        {%- set query -%}
            {%- if is_staged(node) -%}
                select {{ columns | join(', ') }}
                from {{ relation_of_node(node) }}
                where {{ is_loaded_since_test(node) }}
            {%- else -%}
                select {{ columns | join(', ') }}
                from {{ state_relation('key_changes') }} as key_changes
                inner join {{ state_relation('tested_keys') }} as tested_keys
                    on key_changes.model_name = tested_keys.upstream_name
                        and tested_keys.test_name = {{ postgres_escape_comment(model.unique_id) }},
                    jsonb_populate_record(null::{{ relation_of_node(node) }}, changed_keys) as keys
                where key_changes.model_name = '{{ state_name(node) }}'
                    and {{ is_unseen_xid('key_changes.written_by', 'tested_keys.run_snapshot') }}
            {%- endif -%}
        {%- endset -%}
        {%- do found.append(query) -%}
    {%- endfor -%}
    {{ found | join(' union ') }}
{%- endmacro %}


{% macro is_loaded_since_test(node) -%}
    {%- set query -%}
        select run_snapshot::text as run_snapshot, loaded_through::text as loaded_through
        from {{ state_relation('tested_keys') }}
        where test_name = {{ postgres_escape_comment(model.unique_id) }} and upstream_name = '{{ state_name(node) }}'
    {%- endset -%}
    {#- The models take no row without a stamp, so such a row stays to be asked of. -#}
    (_loaded_at is null or {{ is_unseen_load(run_query(query)[0], '_row_xid') }})
{%- endmacro %}
