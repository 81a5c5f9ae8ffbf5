{% macro storage_of(relation) -%}
    (
        select array_agg(tables.oid || ':' || coalesce(pg_relation_filenode(tables.oid), 0) order by tables.oid)
        from pg_class as tables
        where tables.oid = {{ regclass_of(relation) }}
            or tables.oid in (select tree.relid from pg_partition_tree({{ regclass_of(relation) }}) as tree)
    )
{%- endmacro %}
