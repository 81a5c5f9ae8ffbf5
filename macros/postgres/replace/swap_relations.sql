{% macro create_swap_relations() -%}
    {#-
        Redirects views from the old relations to the new ones, drops the old ones, and gives their names to the new ones from
        position first_to_rename on. Returns the dropped dependents, or null. Takes locks in the order of readers, a view before
        what it reads.
    -#}
    create or replace function pg_temp.swap_relations(olds oid[], news oid[], first_to_rename integer)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        views oid[] := array(select oid from pg_temp.find_readers(olds, '{}') where relkind = 'v' order by oid);
        queries text[] := pg_temp.read_queries(views, olds, news);
        {#- They were filled from a new relation and from a view that still reads an old one. -#}
        mixed oid[] := array(
            select oid from pg_temp.find_readers(olds, '{v,m}') inner join pg_class using (oid)
            where oid = any(news) and relispopulated
            order by array_position(news, oid)
        );
        reasons text[] := '{}';
        lost text[] := '{}';
        named text;
        had jsonb;
    begin
        for number in 1 .. cardinality(views) loop
            begin
                execute format(
                    'create or replace view %s %s as %s',
                    views[number]::regclass,
                    (select format('with (%s)', array_to_string(reloptions, ', ')) from pg_class where oid = views[number] and reloptions is not null),
                    queries[number]
                );
            exception
                when lock_not_available or deadlock_detected then
                    raise;
                when others then
                    {#- Another build may have replaced one of the relations that it reads. #}
                    if queries[number] != (pg_temp.read_queries(views[number:number], olds, news))[1] then
                        raise exception using errcode = 'lock_not_available', message = sqlerrm;
                    end if;
                    reasons := reasons || format('%s: %s', views[number]::regclass, sqlerrm);
            end;
        end loop;
        for number in 1 .. cardinality(mixed) loop
            execute format('refresh materialized view %s', mixed[number]::regclass);
        end loop;

        {#- The topmost first. One that was dropped with a lower one no longer exists. -#}
        for number in reverse cardinality(olds) .. 1 loop
            named := (select relname from pg_class where oid = olds[number]);
            if number >= first_to_rename and named is not null then
                perform pg_temp.prepare_successor(olds[number], news[number]);
                had := pg_temp.properties_of(olds[number], olds[number]::regclass::text, null);
                execute format('alter table %s rename to %I', olds[number]::regclass, '__old_' || olds[number]);
                execute format('alter table %s rename to %I', news[number]::regclass, named);
                perform pg_temp.carry_over(had, olds[number], news[number]);
            end if;
            lost := lost || replace(pg_temp.drop_with_readers(olds[number]), '__old_' || olds[number], named);
        end loop;
        return nullif(array_to_string(lost, '; '), '')
            || case when reasons = '{}' then '' else format(' (%s)', array_to_string(reasons, '; ')) end;
    end
    $function$;
{%- endmacro %}
