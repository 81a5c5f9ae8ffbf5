{% macro guarantee_of(test) -%}
    {#- What of the table guarantees that no row fails a test of its keys; none if nothing does. Data types of contracts are not looked at. -#}
    {%- set kind = test.test_metadata.name if test.test_metadata else none -%}
    {%- set node = graph.nodes.get(test.attached_node) if test.attached_node else none -%}
    {%- if kind not in ['unique', 'not_null', 'unique_combination_of_columns'] or not node or flags.DEFER -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set arguments = test.test_metadata.kwargs -%}
    {%- set columns = arguments.get('combination_of_columns') or [arguments.get('column_name')] -%}
    {%- set query -%}
        with wanted as (
            select attnum, attnotnull
            from pg_attribute
            where attrelid = {{ regclass_of(relation_of_node(node)) }} and attnum > 0 and not attisdropped
                and attname in ({{ quoted_texts(columns) }})
        )

        {% if kind == 'not_null' -%}
            select 'the column' as what from wanted where attnotnull
        {%- else -%}
            select 'the index ' || indexrelid::regclass as what
            from pg_index
            where indrelid = {{ regclass_of(relation_of_node(node)) }}
                and indisunique and indisvalid and indpred is null and indexprs is null
                and (select array_agg(attnum order by attnum) from wanted)
                = (select array_agg(number order by number) from unnest(indkey[0:indnkeyatts - 1]) as number)
                {%- if kind != 'unique' and not (logs_changed_keys(node) and columns | sort == as_list(node.config.unique_key) | sort) %}
                {#- The test takes two nulls for equal. A build writes no null into a unique_key. #}
                and (indnullsnotdistinct or (select bool_and(attnotnull) from wanted))
                {%- endif %}
        {%- endif %}
        limit 1
    {%- endset -%}
    {%- set found = run_query(query) -%}
    {{ return(found[0][0] if found | length else none) }}
{%- endmacro %}


{% macro follows_tables(test) -%}
    {#- Whether the test remembered what it reads. A table that it reads and does not follow would change unseen. -#}
    {%- set is_there = may_record_test() and run_query("select to_regclass('pg_temp.tested_tables') is not null")[0][0] -%}
    {%- if is_there and not test.attached_node -%}
        {%- set followed = run_query('select upstream_name from tested_tables').columns[0].values() -%}
        {%- for unique_id in test.depends_on.nodes if graph.nodes[unique_id].config.materialized in ['incremental', 'snapshot'] -%}
            {%- if state_name(graph.nodes[unique_id]) not in followed -%}
                {{ exceptions.raise_compiler_error(
                    test.name ~ ' reads ' ~ graph.nodes[unique_id].name ~ ', and no keys_to_test of it follows that table: its changes would not be asked of.'
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(is_there) }}
{%- endmacro %}
