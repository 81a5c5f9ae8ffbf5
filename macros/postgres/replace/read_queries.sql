{% macro create_read_queries() -%}
    {#-
        The queries of views, as if they read the new relations. PostgreSQL itself writes them: in a subtransaction that is
        rolled back, each old relation has the name of the new one, in a schema whose name occurs in no query: in a new one, or in
        one in which the role may create.
    -#}
    create or replace function pg_temp.read_queries(views oid[], olds oid[], news oid[])
    returns text[]
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        queries text[];
        aside text;
        asides text[];
        named record;
        may_create boolean := has_database_privilege(current_database(), 'create');
        new_names text[] := array(
            select relname from unnest(news) with ordinality as given (oid, place) inner join pg_class using (oid) order by place
        );
    begin
        if views = '{}' then
            return '{}';
        end if;
        if may_create then
            asides := array(
                select format('aside_%s_%s', replace(gen_random_uuid()::text, '-', ''), number) from generate_series(1, cardinality(olds)) as number
            );
        else
            aside := (
                select min(quote_ident(nspname))
                from pg_namespace
                where nspname !~ '^pg_'
                    and has_schema_privilege(oid, 'create')
                    and has_schema_privilege(oid, 'usage')
                    {# The old relations come with their names, their indexes and their types. #}
                    and not exists (
                        select
                        from pg_class as taken
                        where taken.relnamespace = pg_namespace.oid
                            and (
                                taken.relname = any(new_names)
                                or taken.relname in (
                                    select relname
                                    from pg_class
                                    where oid = any(olds) or oid in (select indexrelid from pg_index where indrelid = any(olds))
                                )
                            )
                    )
                    and not exists (select from unnest(views) as view where strpos(pg_get_viewdef(view), quote_ident(nspname) || '.') > 0)
            );
            asides := array_fill(aside, array[cardinality(olds)]);
            if aside is null then
                raise exception '% has views on it, and reading their queries takes a schema that they do not read. As an administrator, run: grant create on database % to %;',
                    olds[1]::regclass, quote_ident(current_database()), quote_ident(current_role);
            end if;
        end if;
        begin
            for number in 1 .. cardinality(olds) loop
                if may_create then
                    execute format('create schema %s', asides[number]);
                end if;
                execute format('alter table %s set schema %s', olds[number]::regclass, asides[number]);
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
        {# The longest first, because a name may begin with another one. #}
        for named in
            select format('%s.%I', given.aside, relname) as aside, format('%s.%I', relnamespace::regnamespace, relname) as name
            from unnest(news, asides) as given (oid, aside)
            inner join pg_class using (oid)
            order by length(relname) desc
        loop
            queries := array(
                select replace(query, named.aside, named.name) from unnest(queries) with ordinality as given (query, place) order by place
            );
        end loop;
        return queries;
    end
    $function$;
{%- endmacro %}
