{% macro create_create_beside() -%}
    {#-
        A materialized view like the old one, of another query, with its indexes. Its owner creates it, because the query may
        call functions. For the same reason the search_path is that of the session.
    -#}
    create or replace function pg_temp.create_beside(old oid, query text)
    returns oid
    language plpgsql
    as $function$
    declare
        whole_role text := current_setting('role');
        made record;
        index record;
    begin
        select
            pg_get_userbyid(relowner) as owner,
            format('%I.%I', nspname, '__new_' || old) as name,
            format('using %I', amname)
            || case when reloptions is null then '' else format(' with (%s)', array_to_string(reloptions, ', ')) end
            || case when spcname is null then '' else format(' tablespace %I', spcname) end as storage,
            case when relispopulated then 'with data' else 'with no data' end as filled
        into strict made
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        inner join pg_am on pg_class.relam = pg_am.oid
        left join pg_tablespace on pg_class.reltablespace = pg_tablespace.oid
        where pg_class.oid = old;

        if made.owner != current_user then
            perform set_config('role', made.owner, true);
        end if;
        execute format('create materialized view %s %s as %s %s', made.name, made.storage, query, made.filled);
        for index in
            select
                format('%I.%I', nspname, '__new_' || indexes.oid) as name,
                format('create %sindex %I on %s ', unique_or_not, '__new_' || indexes.oid, made.name)
                || substr(
                    pg_get_indexdef(indexes.oid),
                    1 + length(format('CREATE %sINDEX %I ON %I.%I ', unique_or_not, indexes.relname, nspname, viewed.relname))
                ) as definition,
                obj_description(indexes.oid, 'pg_class') as description
            from pg_index
            inner join pg_class as indexes on pg_index.indexrelid = indexes.oid
            inner join pg_class as viewed on pg_index.indrelid = viewed.oid
            inner join pg_namespace on viewed.relnamespace = pg_namespace.oid,
                cast(case when indisunique then 'UNIQUE ' else '' end as text) as unique_or_not
            where indrelid = old and indisvalid
            order by indexes.oid
        loop
            execute index.definition;
            execute format('comment on index %s is %L', index.name, index.description);
        end loop;
        execute format('analyze %s', made.name);
        perform set_config('role', whole_role, true);
        return made.name::regclass;
    end
    $function$;
{%- endmacro %}
