{% macro state_of_table(relation) -%}
    {#-
        What tells that rows changed that PostgreSQL does not count, as a list: the files, the columns, whose values may come with a
        change of the definition, and since when it counts.
    -#}
    (
        select
            array_agg(leaves.oid || ':' || coalesce(pg_relation_filenode(leaves.oid), 0) order by leaves.oid)
            || (
                select 'columns ' || coalesce(string_agg(format('%s %s %s', attnum, attname, atttypid), ',' order by attnum), '')
                from pg_attribute
                where attrelid = {{ regclass_of(relation) }} and attnum > 0 and not attisdropped
            )
            || (
                select 'counted since ' || coalesce(extract(epoch from pg_stat_get_db_stat_reset_time(oid)), 0)
                from pg_database
                where datname = current_database()
            )
        from ({{ tables_read_with(relation) }}) as leaves
    )
{%- endmacro %}
