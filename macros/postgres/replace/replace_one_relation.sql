{% macro create_replace_relation() -%}
    {#-
        Materialized views that read the old relation are created again first, which may take long and blocks other sessions
        only while their queries are read. The swap is last. If it does not get its locks, nothing changes.
    -#}
    create or replace function pg_temp.replace_relation(
        old oid,
        new oid,
        takes_name boolean,
        out lost text,
        out trouble text
    )
    language plpgsql
    strict
    as $function$
    declare
        olds oid[] := array[old];
        news oid[] := array[new];
        reasons text[] := '{}';
        readers oid[];
        reader oid;
        query text;
    begin
        if takes_name then
            perform pg_temp.prepare_successor(old, new);
        end if;
        {# A build of another upstream may be replacing the same readers, which then have other oids. #}
        loop
            readers := pg_temp.find_stored_readers(old);
            trouble := (pg_temp.try_for_locks('select null', old || readers, '{}')).trouble;
            exit when trouble is not null or readers = pg_temp.find_stored_readers(old);
        end loop;
        foreach reader in array readers loop
            exit when trouble is not null;
            select (answer::text[])[1], tried.trouble
            into query, trouble
            from pg_temp.try_for_locks(
                format('select pg_temp.read_queries(array[%s::oid], %L, %L)', reader, olds, news),
                olds, '{}'
            ) as tried;
            exit when trouble is not null;
            begin
                news := news || pg_temp.create_beside(reader, query);
                olds := olds || reader;
            exception
                when lock_not_available or deadlock_detected then
                    trouble := format('%s: %s', reader::regclass, sqlerrm);
                    exit;
                when others then
                    reasons := reasons || format('%s: %s', reader::regclass, sqlerrm);
            end;
        end loop;

        if trouble is null then
            select answer, tried.trouble
            into lost, trouble
            from pg_temp.try_for_locks(
                format('select pg_temp.swap_relations(%L, %L, %s)', olds, news, case when takes_name then 1 else 2 end),
                olds || array(select oid from pg_temp.find_readers(olds, '{}') where relkind = 'v'),
                '{}'
            ) as tried;
        end if;
        if trouble is not null then
            for number in reverse cardinality(news) .. 2 loop
                execute format('drop materialized view %s', news[number]::regclass);
            end loop;
        elsif lost is not null and reasons != '{}' then
            lost := format('%s (%s)', lost, array_to_string(reasons, '; '));
        end if;
    end
    $function$;
{%- endmacro %}
