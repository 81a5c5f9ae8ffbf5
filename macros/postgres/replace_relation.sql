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
    {%- set schemas = graph.nodes.values() | map(attribute='schema') | list -%}
    {%- for row in relations_on(old if takes_name else new) if row['schema'] in schemas -%}
        {%- do adapter.cache_added(api.Relation.create(
            database=new.database, schema=row['schema'], identifier=row['identifier'], type=row['type']
        )) -%}
    {%- endfor -%}
    {{ return(outcome['trouble']) }}
{%- endmacro %}


{% macro relations_on(relation) -%}
    {%- set query -%}
        with recursive standing (oid) as (
            select {{ regclass_of(relation) }}::oid
            union
            select pg_rewrite.ev_class
            from standing
            inner join pg_depend
                on pg_depend.refclassid = 'pg_class'::regclass and pg_depend.refobjid = standing.oid
            inner join pg_rewrite
                on pg_depend.classid = 'pg_rewrite'::regclass and pg_depend.objid = pg_rewrite.oid
        )

        select
            pg_namespace.nspname as schema,
            pg_class.relname as identifier,
            case pg_class.relkind when 'v' then 'view' else 'materialized_view' end as type
        from standing
        inner join pg_class on standing.oid = pg_class.oid
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where pg_class.relkind in ('v', 'm') and pg_class.oid != {{ regclass_of(relation) }}
        order by 1, 2
    {%- endset -%}
    {{ return(run_query(query)) }}
{%- endmacro %}


{% macro regclass_of(relation) -%}
    to_regclass('{{ (relation | string).replace("'", "''") }}')
{%- endmacro %}


{% macro lock_patience() -%}
    {%- set attempts = var('replace_lock_attempts') -%}
    {%- if attempts is not integer or attempts is boolean or attempts < 1 -%}
        {{ exceptions.raise_compiler_error(
            "The variable replace_lock_attempts is '" ~ attempts ~ "'; it takes a whole number from 1, such as 30."
        ) }}
    {%- elif not modules.re.fullmatch('[1-9][0-9]* *(ms|s|min)', var('replace_lock_timeout') | string) -%}
        {{ exceptions.raise_compiler_error(
            "The variable replace_lock_timeout is '" ~ var('replace_lock_timeout') ~ "'; it takes a time with its unit, such as 800ms or 2s."
        ) }}
    {%- endif -%}
    '{{ var('replace_lock_timeout') }}', {{ attempts }}
{%- endmacro %}


{% macro create_functions_that_replace() -%}
    {#-
        Temporary functions, gone with the session. Where names or definitions are written down, nothing but
        pg_catalog is on the search_path; where the queries of others run, the session's is. Locks are taken as
        readers take them, a view before what it reads.
    -#}
    create or replace function pg_temp.standing_on(relations oid[])
    returns table (oid oid, relkind "char")
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select distinct pg_class.oid, pg_class.relkind
        from pg_depend
        inner join pg_rewrite on pg_depend.objid = pg_rewrite.oid
        inner join pg_class on pg_rewrite.ev_class = pg_class.oid
        where pg_depend.classid = 'pg_rewrite'::regclass
            and pg_depend.refclassid = 'pg_class'::regclass
            and pg_depend.refobjid = any(relations)
            and pg_class.oid != pg_depend.refobjid
            and pg_class.relkind in ('v', 'm')
    $function$;

    create or replace function pg_temp.as_pattern(name text)
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select regexp_replace(name, $$([^[:alnum:]_])$$, $$\\\1$$, 'g')
    $function$;

    {#-
        The query of a view, reading the new relations. A table without an alias goes by its name in the whole query. So
        does the new one, unless its name is an alias there already; then the old name becomes its alias.
    -#}
    create or replace function pg_temp.query_of(view oid, olds oid[], news oid[])
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        definition text := rtrim(pg_get_viewdef(view), ';');
        part record;
    begin
        for part in
            select
                $$(?<![\w$".])$$ || pg_temp.as_pattern(old_full_name) || $$(?![\w$"])$$ as old_table,
                $$(?<![\w$".])$$ || pg_temp.as_pattern(old_name) || $$(?=\.)$$ as old_reference,
                {#- A reference, an alias behind a table or a bracket, a common table expression, an alias of using. -#}
                replace(
                    $$(?<![\w$".])NAME\.|[a-z0-9_$")] NAME(?![\w$"])|(?<![\w$".])NAME(\([^)]*\))? AS (NOT |MATERIALIZED )*\($$
                    || $$|USING \([^)]*\) AS NAME(?![\w$"])$$,
                    'NAME',
                    pg_temp.as_pattern(new_name)
                ) as new_alias,
                replace(new_full_name, $$\$$, $$\\$$) as new_table,
                replace(new_name, $$\$$, $$\\$$) as new_reference,
                replace(old_name, $$\$$, $$\\$$) as old_alias,
                exists (select from pg_namespace where quote_ident(nspname) = old_name) as is_schema
            from unnest(olds, news) with ordinality as pairs (old, new, number)
            inner join pg_class as old_class on pairs.old = old_class.oid
            inner join pg_class as new_class on pairs.new = new_class.oid,
                quote_ident(old_class.relname) as old_name,
                quote_ident(new_class.relname) as new_name,
                cast(old_class.oid::regclass as text) as old_full_name,
                cast(new_class.oid::regclass as text) as new_full_name
            order by pairs.number
        loop
            if part.is_schema or definition ~ part.new_alias then
                definition := regexp_replace(
                    definition,
                    part.old_table || $$(?!'| (?!ON |USING |TABLESAMPLE )[\w"])$$,
                    part.new_table || ' ' || part.old_alias,
                    'g'
                );
                definition := regexp_replace(definition, part.old_table, part.new_table, 'g');
            else
                definition := regexp_replace(definition, part.old_table, part.new_table, 'g');
                definition := regexp_replace(definition, part.old_reference, part.new_reference, 'g');
            end if;
        end loop;
        return definition;
    end
    $function$;

    {#- Grants and comments. What default privileges gave to the new one is taken back: the old one may have lost it. -#}
    create or replace function pg_temp.copy_grants_and_comments(old oid, new oid)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        statement text;
    begin
        for statement in
            select format(
                'revoke all on %s from %s',
                new::regclass,
                case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end
            )
            from pg_class, aclexplode(relacl)
            where pg_class.oid = new and grantee != relowner
            union all
            select format(
                'grant %s on %s to %s%s',
                string_agg(privilege_type, ', '),
                new::regclass,
                case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
                case when is_grantable then ' with grant option' end
            )
            from pg_class, aclexplode(relacl)
            where pg_class.oid = old and grantee != relowner
            group by grantee, is_grantable
            union all
            select format(
                'grant %s (%I) on %s to %s%s',
                privilege_type,
                old_column.attname,
                new::regclass,
                case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
                case when is_grantable then ' with grant option' end
            )
            from pg_attribute as old_column
            inner join pg_attribute as new_column on old_column.attname = new_column.attname,
                aclexplode(old_column.attacl)
            where old_column.attrelid = old and new_column.attrelid = new
            union all
            select format('comment on materialized view %s is %L', new::regclass, description)
            from pg_description
            where classoid = 'pg_class'::regclass and objoid = old and objsubid = 0
            union all
            select format('comment on column %s.%I is %L', new::regclass, new_column.attname, description)
            from pg_description
            inner join pg_attribute as old_column on objsubid = old_column.attnum
            inner join pg_attribute as new_column on old_column.attname = new_column.attname
            where classoid = 'pg_class'::regclass
                and objoid = old
                and objsubid > 0
                and old_column.attrelid = old
                and new_column.attrelid = new
        loop
            execute statement;
        end loop;
    end
    $function$;

    {#- The same materialized view on what is new, made by its owner, because its query may call functions. -#}
    create or replace function pg_temp.create_beside(old oid, olds oid[], news oid[])
    returns oid
    language plpgsql
    as $function$
    declare
        whole_role text := current_setting('role');
        query text := pg_temp.query_of(old, olds, news);
        made record;
        index record;
    begin
        select
            pg_get_userbyid(relowner) as owner,
            format('%I.%I', nspname, left(relname, 40) || '__new_' || old) as beside,
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
        execute format('create materialized view %s %s as %s %s', made.beside, made.storage, query, made.filled);
        for index in
            select
                pg_get_indexdef(pg_class.oid) as definition,
                format('CREATE %sINDEX %I ON %I.%I ', case when indisunique then 'UNIQUE ' end, pg_class.relname, nspname, viewed.relname) as beginning,
                format(
                    'create %s index %I on %s ',
                    case when indisunique then 'unique' end,
                    left(pg_class.relname, 40) || '__new_' || pg_class.oid,
                    made.beside
                ) as new_beginning,
                format(
                    'comment on index %I.%I is %L',
                    nspname,
                    left(pg_class.relname, 40) || '__new_' || pg_class.oid,
                    obj_description(pg_class.oid, 'pg_class')
                ) as comment
            from pg_index
            inner join pg_class on pg_index.indexrelid = pg_class.oid
            inner join pg_class as viewed on pg_index.indrelid = viewed.oid
            inner join pg_namespace on viewed.relnamespace = pg_namespace.oid
            where indrelid = old and indisvalid
            order by pg_class.oid
        loop
            execute index.new_beginning || substr(index.definition, length(index.beginning) + 1);
            execute index.comment;
        end loop;
        execute format('analyze %s', made.beside);
        perform set_config('role', whole_role, true);
        perform pg_temp.copy_grants_and_comments(old, made.beside::regclass);
        return made.beside::regclass;
    end
    $function$;

    {#- Returns what is going to be dropped with the old relations, by name, or null. -#}
    create or replace function pg_temp.lost_with(olds oid[], news oid[])
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        going oid[] := olds || array(
            select relid::oid from unnest(olds) as old_relation (oid), pg_partition_tree(old_relation.oid) where parentrelid is not null
        );
        row_types oid[] := array(select reltype from pg_class where oid = any(going) and reltype != 0);
        reached oid[] := '{}';
        above oid[] := going;
    begin
        while cardinality(above) > 0 loop
            above := array(
                select distinct oid from pg_temp.standing_on(above) where oid != all(going) and oid != all(reached)
            );
            reached := reached || above;
        end loop;
        return (
            select string_agg(name, ', ' order by name)
            from (
                select coalesce(olds[array_position(news, reached_oid)], reached_oid)::regclass::text as name
                from unnest(reached) as reached_oid
                union
                select pg_describe_object(classid, objid, objsubid)
                from pg_depend
                left join pg_constraint on classid = 'pg_constraint'::regclass and objid = pg_constraint.oid
                where deptype = 'n'
                    and (
                        refclassid = 'pg_class'::regclass and refobjid = any(going)
                        or refclassid = 'pg_type'::regclass and refobjid = any(row_types)
                    )
                    and (
                        classid in ('pg_proc'::regclass, 'pg_policy'::regclass)
                        or conrelid != all(going)
                        or classid = 'pg_class'::regclass and objsubid > 0 and objid != all(going)
                        and objid not in (select oid from pg_class where relkind in ('v', 'm'))
                    )
            ) as names
        );
    end
    $function$;

    create or replace function pg_temp.swap(olds oid[], news oid[], first_to_rename integer)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        reader record;
        renamed record;
        lost text;
        reasons text[] := '{}';
        renames jsonb;
        kind text;
        through_views oid[] := '{}';
        above oid[] := array(select oid from pg_temp.standing_on(olds) where relkind = 'v');
    begin
        while cardinality(above) > 0 loop
            through_views := through_views || above;
            above := array(
                select oid
                from pg_temp.standing_on(above)
                where (relkind = 'v' or oid = any(olds)) and oid != all(through_views)
            );
        end loop;

        for reader in
            select
                pg_class.oid::regclass as name,
                case when reloptions is null then '' else format('with (%s)', array_to_string(reloptions, ', ')) end as options,
                pg_temp.query_of(pg_class.oid, olds, news) as query
            from pg_temp.standing_on(olds) as standing
            inner join pg_class on standing.oid = pg_class.oid
            where pg_class.relkind = 'v'
            order by pg_class.oid
        loop
            begin
                execute format('create or replace view %s %s as %s', reader.name, reader.options, reader.query);
            exception
                when lock_not_available or deadlock_detected then
                    raise;
                when others then
                    reasons := reasons || format('%s: %s', reader.name, sqlerrm);
            end;
        end loop;
        {#- Filled from the new relation and from a view that still read the old one, it would be neither. -#}
        for number in 2 .. cardinality(olds) loop
            if olds[number] = any(through_views) and (select relispopulated from pg_class where oid = news[number]) then
                execute format('refresh materialized view %s', news[number]::regclass);
            end if;
        end loop;
        lost := pg_temp.lost_with(olds, news);

        select jsonb_agg(jsonb_build_object('oid', new_oid, 'kind', what, 'name', name))
        into renames
        from (
            select news[number] as new_oid, 'materialized view' as what, relname as name
            from generate_series(first_to_rename, cardinality(olds)) as number
            inner join pg_class on olds[number] = pg_class.oid
            union all
            select new_index.oid, 'index', old_index.relname
            from generate_series(1, cardinality(olds)) as number
            inner join pg_index on olds[number] = pg_index.indrelid
            inner join pg_class as old_index on pg_index.indexrelid = old_index.oid
            inner join pg_class as new_index
                on old_index.relnamespace = new_index.relnamespace
                    and new_index.relname = left(old_index.relname, 40) || '__new_' || old_index.oid
        ) as found;

        for number in reverse cardinality(olds) .. 1 loop
            select case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' else 'table' end
            into kind
            from pg_class
            where oid = olds[number];
            if found then
                execute format('drop %s %s cascade', kind, olds[number]::regclass);
            end if;
        end loop;
        for renamed in
            select pg_class.oid::regclass as now, what.kind, what.name
            from jsonb_to_recordset(renames) as what (oid oid, kind text, name text)
            inner join pg_class on what.oid = pg_class.oid
        loop
            execute format('alter %s %s rename to %I', renamed.kind, renamed.now, renamed.name);
        end loop;

        return lost || case when reasons = '{}' then '' else format(' (%s)', array_to_string(reasons, '; ')) end;
    end
    $function$;

    create or replace function pg_temp.refresh_concurrently(relation regclass)
    returns text
    language plpgsql
    as $function$
    begin
        execute format('refresh materialized view concurrently %s', relation);
        return null;
    end
    $function$;

    {#- Waits for a lock a little while, and again: whoever comes after a waiting one has to wait as well. -#}
    create or replace function pg_temp.try_for_locks(
        statement text,
        relations oid[],
        harmless_mode text,
        lock_timeout text,
        attempts integer,
        out answer text,
        out trouble text
    )
    language plpgsql
    as $function$
    declare
        whole_timeout text := current_setting('lock_timeout');
        holders text;
    begin
        for attempt in 1 .. attempts loop
            begin
                perform set_config('lock_timeout', lock_timeout, true);
                execute statement into answer;
                perform set_config('lock_timeout', whole_timeout, true);
                trouble := null;
                return;
            exception
                when lock_not_available or deadlock_detected then
                    trouble := sqlerrm;
            end;
            if attempt < attempts then
                perform pg_sleep(0.5);
            end if;
        end loop;
        select string_agg(distinct format(
            '%s by pid %s (%s)',
            pg_locks.relation::regclass,
            pg_locks.pid,
            coalesce(nullif(application_name, ''), 'no application_name')
        ), ', ')
        into holders
        from pg_locks
        left join pg_stat_activity on pg_locks.pid = pg_stat_activity.pid
        where pg_locks.granted
            and pg_locks.locktype = 'relation'
            and pg_locks.database = (select oid from pg_database where datname = current_database())
            and pg_locks.relation = any(relations)
            and pg_locks.mode is distinct from harmless_mode
            and pg_locks.pid != pg_backend_pid();
        trouble := format(
            '%s, tried %s times for %s; held: %s',
            trouble, attempts, lock_timeout, coalesce(holders, 'nothing any more')
        );
    end
    $function$;

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
        reader record;
    begin
        for reader in
            with recursive standing (oid, level) as (
                select oid, 1 from pg_temp.standing_on(array[old]) where relkind = 'm'
                union
                select above.oid, standing.level + 1
                from standing, pg_temp.standing_on(array[standing.oid]) as above
                where above.relkind = 'm'
            )

            select oid from standing group by oid order by max(level), oid
        loop
            begin
                news := news || pg_temp.create_beside(reader.oid, olds, news);
                olds := olds || reader.oid;
            exception
                when others then
                    reasons := reasons || format('%s: %s', reader.oid::regclass, sqlerrm);
            end;
        end loop;

        select tried.answer, tried.trouble
        into lost, trouble
        from pg_temp.try_for_locks(
            format('select pg_temp.swap(%L, %L, %s)', olds, news, case when takes_name then 1 else 2 end),
            olds || array(select oid from pg_temp.standing_on(olds) where relkind = 'v'),
            null,
            lock_timeout,
            attempts
        ) as tried;
        if trouble is not null then
            for number in 2 .. cardinality(news) loop
                execute format('drop materialized view %s', news[number]::regclass);
            end loop;
        elsif lost is not null and reasons != '{}' then
            lost := format('%s (%s)', lost, array_to_string(reasons, '; '));
        end if;
    end
    $function$;
{%- endmacro %}
