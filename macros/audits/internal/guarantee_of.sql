{% macro guarantee_of(test) -%}
    {#- What guarantees that no row of the table fails the test; none if nothing does. -#}
    {%- set kind = test.test_metadata.name if test.test_metadata else none -%}
    {%- set node = graph.nodes.get(test.attached_node) if test.attached_node else none -%}
    {%- if kind not in ['unique', 'not_null', 'unique_combination_of_columns'] or not node or not has_usual_query(test) -%}
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
            {#- PostgreSQL 18 also marks a column whose constraint is not valid. #}
            select 'the column' as what
            from wanted
            where attnotnull
                and not exists (
                    select
                    from pg_constraint
                    where conrelid = {{ regclass_of(relation_of_node(node)) }}
                        and contype = 'n' and not convalidated and conkey = array[wanted.attnum]
                )
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
