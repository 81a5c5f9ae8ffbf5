{% macro query_of_indexes() -%}
    {#-
        The indexes of this model's table that these macros created: they have our comment, or a name of 32 hexadecimal digits,
        as dbt's own indexes have, and ours until they are finished. An index of a constraint belongs to the constraint, except
        that of the primary key which add_primary_key made of it.
    -#}
    select
        tables.relkind = 'p' as is_partitioned,
        (
            select json_agg(attname order by attnum)
            from pg_attribute
            where attrelid = tables.oid and attnum > 0 and not attisdropped
        ) as columns,
        indexes.*
    from pg_class as tables
    left join (
        select
            pg_index.indrelid,
            pg_index.indexrelid::bigint as index_oid,
            pg_index.indisvalid as is_valid,
            names.relname::text as name,
            obj_description(names.oid, 'pg_class') as comment,
            concat_ws(
                ', ',
                case when pg_index.indisreplident then 'the replica identity' end,
                case when pg_index.indisclustered then 'CLUSTER' end,
                (
                    select string_agg(format('the foreign key %s of %s', conname, conrelid::regclass), ', ')
                    from pg_constraint
                    where conindid = names.oid and contype = 'f' and conparentid = 0 and not {{ is_own_foreign_key() }}
                )
            ) as used_by,
            (
                select conname::text from pg_constraint where conindid = names.oid and contype = 'p'
            ) as primary_key,
            substring(obj_description(names.oid, 'pg_class') from '^dbt:([0-9a-f]{32}) of ') as hash
        from pg_index
        inner join pg_class as names on pg_index.indexrelid = names.oid
        where not names.relispartition
            and not exists (
                select from pg_constraint
                where conindid = names.oid
                    and contype in ('p', 'u', 'x')
                    and (contype, obj_description(oid, 'pg_constraint')) is distinct from ('p', {{ postgres_escape_comment(mark_of_contract()) }})
            )
            and (
                names.relname ~ '^[0-9a-f]{32}$'
                or obj_description(names.oid, 'pg_class') ~ '^dbt:[0-9a-f]{32} of '
            )
    ) as indexes on tables.oid = indexes.indrelid
    where tables.oid = to_regclass('{{ this }}')
{%- endmacro %}


{% macro read_indexes(rows=none) -%}
    {%- set rows = read_together({'indexes': query_of_indexes()}).indexes if rows is none else rows -%}
    {%- if not rows -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return({
        'is_partitioned': rows[0]['is_partitioned'],
        'columns': rows[0]['columns'],
        'indexes': rows | selectattr('index_oid') | list,
    }) }}
{%- endmacro %}
