{% macro relations_on(relation) -%}
    {%- do run_query(create_find_readers()) -%}
    {%- set query -%}
        select
            nspname as schema,
            relname as identifier,
            case readers.relkind when 'v' then 'view' else 'materialized_view' end as type
        from pg_temp.find_readers(array[{{ regclass_of(relation) }}::oid], '{v,m}') as readers
        inner join pg_class on readers.oid = pg_class.oid
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        order by 1, 2
    {%- endset -%}
    {{ return(run_query(query)) }}
{%- endmacro %}


{% macro create_find_readers() -%}
    {#- Views and materialized views that read relations; readers of readers are included for the kinds in through. -#}
    create or replace function pg_temp.find_readers(relations oid[], through "char"[])
    returns table (oid oid, relkind "char", distance integer)
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        with recursive

        direct as not materialized (
            select
                pg_depend.refobjid as below,
                pg_class.oid,
                pg_class.relkind
            from pg_depend
            inner join pg_rewrite on pg_depend.objid = pg_rewrite.oid
            inner join pg_class on pg_rewrite.ev_class = pg_class.oid
            where pg_depend.classid = 'pg_rewrite'::regclass
                and pg_depend.refclassid = 'pg_class'::regclass
                and pg_depend.refobjid != pg_class.oid
                and pg_class.relkind in ('v', 'm')
        ),

        readers as (
            select
                direct.oid,
                direct.relkind,
                1 as distance
            from direct
            where direct.below = any(relations)
            union
            select
                direct.oid,
                direct.relkind,
                readers.distance + 1
            from readers
            inner join direct on readers.oid = direct.below
            where readers.relkind = any(through)
        )

        select
            readers.oid,
            readers.relkind,
            max(readers.distance)
        from readers
        group by readers.oid, readers.relkind
    $function$;

    create or replace function pg_temp.find_stored_readers(relation oid)
    returns oid[]
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select array(
            select readers.oid
            from pg_temp.find_readers(array[relation], '{m}') as readers
            where readers.relkind = 'm'
            order by readers.distance, readers.oid
        )
    $function$;
{%- endmacro %}
