{% macro estimated_rows(unique_ids) -%}
    {#- Rows by the id of a node, as PostgreSQL estimates them: counting would read each table once more. -#}
    {%- set names = {} -%}
    {%- for unique_id in unique_ids -%}
        {%- do names.update({unique_id: relation_of_node((graph.nodes.inner_dict or graph.nodes)[unique_id]) | string}) -%}
    {%- endfor -%}
    {%- set found = estimated_rows_of_relations(names.values() | list) -%}
    {%- set rows = {} -%}
    {%- for unique_id, name in names.items() -%}
        {%- do rows.update({unique_id: found.get(name)}) -%}
    {%- endfor -%}
    {{ return(rows) }}
{%- endmacro %}


{% macro estimated_rows_of_relations(names) -%}
    {%- set rows = {} -%}
    {%- if names -%}
        {%- set query -%}
            select
                named.relation,
                pg_class.relkind::text as relkind,
                (
                    select sum(coalesce(nullif(pg_stat_get_live_tuples(leaves.oid), 0), greatest(leaves.reltuples, 0)))::bigint
                    from pg_class as leaves
                    where leaves.relkind != 'p'
                        and (leaves.oid = pg_class.oid or leaves.oid in (select relid from pg_partition_tree(pg_class.oid) where isleaf))
                ) as row_count
            from unnest(array[{{ quoted_texts(names) }}]) as named (relation)
            inner join pg_class on to_regclass(named.relation) = pg_class.oid
        {%- endset -%}
        {%- for row in run_query(query) -%}
            {%- set is_view = row['relkind'] in ['v', 'f'] -%}
            {%- do rows.update({row['relation']: rows_by_plan(row['relation']) if is_view else row['row_count'] | int}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(rows) }}
{%- endmacro %}


{% macro rows_by_plan(relation) -%}
    {%- set plan = run_query('explain (format json) select from ' ~ relation)[0][0] -%}
    {{ return((fromjson(plan) if plan is string else plan)[0]['Plan']['Plan Rows']) }}
{%- endmacro %}
