{% macro audited_nodes(test) -%}
    {#- The node of the table of a test, and of the one that it refers to; none if their writes are not recorded. -#}
    {%- if place_of_parent(test) == 'above' -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set nodes = [graph.nodes[test.attached_node]] -%}
    {%- if 'to' in test.test_metadata.kwargs -%}
        {%- do nodes.append(parent_of_test(test)) -%}
        {%- if as_list(nodes[1].config.get('unique_key') or []) != [test.test_metadata.kwargs.get('field')] -%}
            {{ return(none) }}
        {%- endif -%}
    {%- endif -%}
    {%- for node in nodes -%}
        {%- if not logs_changed_keys(node) -%}
            {{ return(none) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(nodes) }}
{%- endmacro %}


{% macro is_as_left(node) -%}
    {#- SQL on audited_tables: no other hand has changed the table. -#}
    {%- set relation = relation_of_node(node) -%}
    (
        storage <@ {{ state_of_table(relation) }}
        and counted_changes = {{ counted_changes(relation) }}
        and current_setting('track_counts')::boolean
    )
{%- endmacro %}


{% macro is_known_to_pass(test, nodes) -%}
    {%- set tables = state_relation('audited_tables') -%}
    {%- set query -%}
        select exists (
            select
            from {{ state_relation('audited_tests') }} as held
            inner join {{ tables }} as child on held.model_name = child.model_name
            where held.test_name = {{ postgres_escape_comment(test.unique_id) }}
                and held.fingerprint = '{{ fingerprint_of_test(test) }}'
                and (held.epoch, held.writes) = (child.epoch, child.writes)
                and {{ is_recent('held.passed_whole_at') }}
                and not {{ has_failed_last(test) }}
                and exists (select from {{ tables }} where model_name = '{{ state_name(nodes[0]) }}' and {{ is_as_left(nodes[0]) }})
                {%- if nodes | length > 1 %}
                and exists (
                    select from {{ tables }}
                    where model_name = held.parent_name and losses = held.parent_losses and {{ is_as_left(nodes[1]) }}
                )
                {%- endif %}
        )
    {%- endset -%}
    {{ return(run_query(query)[0][0]) }}
{%- endmacro %}


{% macro state_before_test(nodes) -%}
    {#- Read before the test reads the rows: what changes meanwhile begins an epoch at the next write. -#}
    {%- set tables = state_relation('audited_tables') -%}
    {#- In one order, because tests run side by side. -#}
    {%- for node in nodes | sort(attribute='unique_id') -%}
        {%- set relation = relation_of_node(node) -%}
        {%- call statement('state_of_table', auto_begin=true) -%}
            insert into {{ tables }} as known (model_name, storage, counted_changes, epoch, writes, losses)
            select '{{ state_name(node) }}', {{ state_of_table(relation) }}, {{ counted_changes(relation) }}, 1, 0, 0
            on conflict (model_name) do update set
                storage = excluded.storage,
                counted_changes = excluded.counted_changes,
                epoch = known.epoch + 1,
                losses = known.losses + 1
            where not (known.storage <@ excluded.storage and known.counted_changes = excluded.counted_changes)
        {%- endcall -%}
    {%- endfor -%}
    {%- set state = [] -%}
    {%- for node in nodes -%}
        {%- do state.append(run_query('select epoch, writes, losses from ' ~ tables ~ " where model_name = '" ~ state_name(node) ~ "'")[0]) -%}
    {%- endfor -%}
    {%- do adapter.commit() -%}
    {{ return(state) }}
{%- endmacro %}


{% macro record_whole_pass(test, nodes, state) -%}
    {%- call statement('whole_pass', auto_begin=true) -%}
        insert into {{ state_relation('audited_tests') }} (
            test_name, model_name, fingerprint, epoch, writes, parent_name, parent_losses, passed_whole_at
        )
        values (
            {{ postgres_escape_comment(test.unique_id) }},
            '{{ state_name(nodes[0]) }}',
            '{{ fingerprint_of_test(test) }}',
            {{ state[0]['epoch'] }},
            {{ state[0]['writes'] }},
            {{ "'" ~ state_name(nodes[1]) ~ "'" if nodes | length > 1 else 'null' }},
            {{ state[1]['losses'] if nodes | length > 1 else 'null' }},
            clock_timestamp()
        )
        on conflict (test_name) do update set
            model_name = excluded.model_name,
            fingerprint = excluded.fingerprint,
            epoch = excluded.epoch,
            writes = excluded.writes,
            parent_name = excluded.parent_name,
            parent_losses = excluded.parent_losses,
            passed_whole_at = excluded.passed_whole_at
    {%- endcall -%}
    {%- do adapter.commit() -%}
{%- endmacro %}
