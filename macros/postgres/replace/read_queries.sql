{% macro create_read_queries() -%}
    {#-
        The queries of views, as if they read the new relations. PostgreSQL itself writes them: in a subtransaction that is
        rolled back, each old relation has the name of the new one, in a schema whose name occurs in no query.
    -#}
    create or replace function pg_temp.read_queries(views oid[], olds oid[], news oid[])
    returns text[]
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        queries text[];
        aside text := 'aside_' || replace(gen_random_uuid()::text, '-', '') || '_';
        new_names text[] := array(
            select relname from unnest(news) with ordinality as given (oid, place) inner join pg_class using (oid) order by place
        );
    begin
        {# Creating a schema needs a right. #}
        if views = '{}' then
            return '{}';
        end if;
        begin
            for number in 1 .. cardinality(olds) loop
                execute format('create schema %s', aside || number);
                execute format('alter table %s set schema %s', olds[number]::regclass, aside || number);
                execute format('alter table %s rename to %I', olds[number]::regclass, new_names[number]);
            end loop;
            queries := array(
                select rtrim(pg_get_viewdef(oid), ';') from unnest(views) with ordinality as given (oid, place) order by place
            );
            raise sqlstate 'UNDO1';
        exception
            when sqlstate 'UNDO1' then
                null;
        end;
        for number in 1 .. cardinality(olds) loop
            queries := array(
                select replace(query, aside || number || '.', (select format('%s.', relnamespace::regnamespace) from pg_class where oid = news[number]))
                from unnest(queries) with ordinality as given (query, place)
                order by place
            );
        end loop;
        return queries;
    end
    $function$;
{%- endmacro %}
