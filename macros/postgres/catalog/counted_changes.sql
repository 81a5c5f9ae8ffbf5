{% macro counted_changes(relation, of_this_transaction=false, kinds=none) -%}
    {#- SQL for the rows that PostgreSQL has counted as inserted, updated or deleted. It counts those of rolled back writes too. -#}
    {%- set prefix = 'pg_stat_get_xact_tuples_' if of_this_transaction else 'pg_stat_get_tuples_' -%}
    (
        select coalesce(sum({% for kind in kinds or ['inserted', 'updated', 'deleted'] %}{{ prefix }}{{ kind }}(leaves.oid){{ ' + ' if not loop.last }}{% endfor %}), 0)::bigint
        from ({{ tables_read_with(relation) }}) as leaves
    )
{%- endmacro %}


{% macro tables_read_with(relation) -%}
    {#- A query of the relation also reads its partitions, and tables that inherit from it. -#}
    select {{ regclass_of(relation) }}::oid as oid
    union
    select relid from pg_partition_tree({{ regclass_of(relation) }})
    union
    select inhrelid from pg_inherits where inhparent = {{ regclass_of(relation) }}
{%- endmacro %}
