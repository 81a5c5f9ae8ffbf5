{% macro replace_relation(old, new, takes_name=false) -%}
    {%- do run_query(create_functions_that_replace()) -%}
    {%- set outcome = run_query(
        'select * from pg_temp.replace_relation('
        ~ regclass_of(old) ~ ', ' ~ regclass_of(new) ~ ', ' ~ takes_name ~ ', ' ~ lock_patience() ~ ')'
    )[0] -%}
    {%- if outcome['lost'] -%}
        {%- do exceptions.warn(old ~ ' was replaced. What stood on it and does not fit the new one was dropped: ' ~ outcome['lost']) -%}
    {%- endif -%}
    {#- dbt's memory drops with a relation all that stood on it; these are still there. -#}
    {%- do adapter.cache_dropped(old) -%}
    {%- set readers = relations_on(old if takes_name else new) -%}
    {%- set schemas = graph.nodes.values() | map(attribute='schema') | list if readers | length else [] -%}
    {%- for row in readers if row['schema'] in schemas -%}
        {%- do adapter.cache_added(api.Relation.create(
            database=new.database, schema=row['schema'], identifier=row['identifier'], type=row['type']
        )) -%}
    {%- endfor -%}
    {{ return(outcome['trouble']) }}
{%- endmacro %}


{% macro create_functions_that_replace() -%}
    {#-
        Temporary functions, gone with the session. Where names or definitions are written down, nothing but
        pg_catalog is on the search_path; where the queries of others run, the session's is.
    -#}
    {{ create_find_readers() }}
    {{ create_read_queries() }}
    {{ create_copy_grants_and_comments() }}
    {{ create_create_beside() }}
    {{ create_drop_with_readers() }}
    {{ create_swap_relations() }}
    {{ create_lock_out_maintenance() }}
    {{ create_try_for_locks() }}
    {{ create_refresh_concurrently() }}
    {{ create_replace_relation() }}
{%- endmacro %}


{% macro create_replace_relation() -%}
    {#-
        Materialized views that read the old relation are made anew first, which may take long and locks nobody out but
        for the moment in which their queries are read. The swap comes last. Without its locks nothing is changed.
    -#}
    create or replace function pg_temp.replace_relation(
        old oid,
        new oid,
        takes_name boolean,
        lock_timeout text,
        attempts integer,
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
        {# Another model below the same ones may be replacing them, and they are others then. #}
        loop
            readers := pg_temp.find_stored_readers(old);
            trouble := (pg_temp.try_for_locks('select null', old || readers, '{}', lock_timeout, attempts)).trouble;
            exit when trouble is not null or readers = pg_temp.find_stored_readers(old);
        end loop;
        foreach reader in array readers loop
            exit when trouble is not null;
            select (answer::text[])[1], tried.trouble
            into query, trouble
            from pg_temp.try_for_locks(
                format('select pg_temp.read_queries(array[%s::oid], %L, %L)', reader, olds, news),
                olds, '{}', lock_timeout, attempts
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
                '{}', lock_timeout, attempts
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
