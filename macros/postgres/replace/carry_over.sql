{% macro create_carry_over() -%}
    {#-
        Gives a new version everything that read_properties finds on the old one, or stops. prepare_successor does what takes
        long, while readers still use the old one; carry_over does the rest, once the new one has the name. In between the old
        one is locked, and remember_properties keeps what it had under that name.
    -#}
    {%- if run_query("select to_regproc('pg_temp.carry_over_remembered') is not null")[0][0] -%}
        {#- Plans of the session stay with its functions. -#}
        {{ return('select 1;') }}
    {%- endif -%}
    {{ create_find_readers() }}
    {{ create_read_properties() }}
    {{ create_find_unknown_properties() }}

    create or replace function pg_temp.refuse(relation text, what text, why text)
    returns void
    language plpgsql
    as $function$
    begin
        raise exception using message = format(
            '%s was not replaced, because its new version cannot have its %s (%s). Nothing was changed. Drop that, build, and'
            ' create it again if it is still needed.',
            replace(relation, '__dbt_backup', ''), what, why
        );
    end
    $function$;

    create or replace function pg_temp.give_property(relation text, what text, statement text, as_role name, new oid default null)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        whole_role text := current_setting('role');
    begin
        if as_role is not null then
            perform set_config('role', as_role, true);
        end if;
        execute case when new is null then statement else pg_temp.name_own_index(statement, new) end;
        perform set_config('role', whole_role, true);
    exception
        when lock_not_available or deadlock_detected or query_canceled then
            raise;
        when others then
            perform pg_temp.refuse(relation, what, sqlerrm);
    end
    $function$;

    create or replace function pg_temp.leaves_of(relation oid)
    returns setof oid
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select relid::oid from pg_partition_tree(relation) where isleaf and relid != relation
        union all
        select oid from pg_class where oid = relation and relkind != 'p'
    $function$;

    create or replace function pg_temp.properties_of(relation oid, known_as text, alias text)
    returns jsonb
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select coalesce(jsonb_agg(property order by ordinality), '[]')
        from pg_temp.read_properties(relation, known_as, alias) with ordinality as property
    $function$;

    {#- Each once, with one of the partitions that have it: their number must not multiply the time under the locks. -#}
    create or replace function pg_temp.properties_of_partitions(relation oid)
    returns jsonb
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select coalesce(jsonb_agg(property), '[]')
        from (
            select distinct on (kind, definition, as_role, attribute)
                kind, format('%s of its partition %s', object, leaf::regclass) as object, definition, statement, as_role, attribute, is_own, place
            from pg_temp.leaves_of(relation) as leaf, pg_temp.read_properties(leaf, '{table}', null)
            where leaf != relation
                and not is_own
                and (place >= 5 or place = 0 and not (kind = 'inheritance' and object ~ '^parent '))
            order by kind, definition, as_role, attribute, leaf
        ) as property
    $function$;

    create or replace function pg_temp.about_kind_of(relation oid, statement text)
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select regexp_replace(
            statement,
            '^(comment on|security label for [^ ]+ on) (table|view|materialized view) ',
            {# Also where a backslash escapes. #}
            E'\\1 ' || case relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end || ' '
        )
        from pg_class
        where oid = relation
    $function$;

    {#- A declared index of the old version is known by its declaration, because its successor has another name. -#}
    create or replace function pg_temp.own_index(statement text, relation oid)
    returns oid
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select indexrelid
        from pg_index
        where indrelid = relation and pg_temp.key_of_own_index(indexrelid) = substring(statement from '{index (.*)}')
        limit 1
    $function$;

    create or replace function pg_temp.name_own_index(statement text, relation oid)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        index oid := pg_temp.own_index(statement, relation);
    begin
        if statement !~ '^alter .*{index .*}' then
            return statement;
        elsif index is null then
            raise exception 'the model no longer declares this index';
        end if;
        return regexp_replace(
            statement,
            '{index .*}',
            replace(case when statement ~ '^alter index' then index::regclass::text else (select quote_ident(relname) from pg_class where oid = index) end, E'\\', E'\\\\')
        );
    end
    $function$;

    {#- Those that the new version lacks; both are shown under the same name. -#}
    create or replace function pg_temp.find_missing_properties(had jsonb, new oid, known_as text, alias text)
    returns table (what text, statement text, as_role name, place integer)
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select
            format('%s %s', kind, object),
            {# A view may become a table, or the other way round. #}
            case when kind in ('comment', 'security label') then pg_temp.about_kind_of(new, statement) else statement end,
            as_role,
            place
        from jsonb_to_recordset(had) as property (
            kind text, object text, definition text, statement text, as_role name, attribute name, is_own boolean, place integer, ordinality integer
        )
        where not is_own
            {# Of a column that was removed, nothing stays. #}
            and (attribute is null or attribute in (select attname from pg_attribute where attrelid = new and not attisdropped))
            {# The same for an index that is no longer declared, except what readers elsewhere rely on. #}
            and (kind = 'replica identity' or coalesce(statement, '') !~ '^alter .*{index .*}' or pg_temp.own_index(statement, new) is not null)
            {# The rows of a view are those of its tables. #}
            and not (kind = 'not null of the column' and (select relkind in ('v', 'm') from pg_class where oid = new))
            and (
                kind,
                case when kind in ('comment', 'security label') then pg_temp.about_kind_of(new, definition) else definition end,
                coalesce(as_role, '')
            ) not in (
                select has.kind, has.definition, coalesce(has.as_role, '') from pg_temp.read_properties(new, known_as, alias) as has
            )
        order by ordinality
    $function$;

    create or replace function pg_temp.prepare_successor(old oid, new oid)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        named text := old::regclass;
        unknown text := pg_temp.find_unknown_properties(old, new);
        are_leaves boolean := (select bool_or(relkind = 'p') from pg_class where oid in (old, new));
        is_parent boolean := (select relkind = 'p' from pg_class where oid = new);
        property record;
    begin
        if unknown is not null then
            perform pg_temp.refuse(named, unknown, 'this project does not know what it is');
        end if;
        {# Materialized views that read it are replaced after it, when it is too late to refuse. #}
        for property in
            select format('reader %s with its %s %s', reader::regclass, kind, object) as what
            from unnest(pg_temp.find_stored_readers(old)) as reader, pg_temp.read_properties(reader, reader::regclass::text, null)
            where place = 0
        loop
            perform pg_temp.refuse(named, property.what, 'no statement can move it');
        end loop;
        for property in
            select *
            from pg_temp.find_missing_properties(
                pg_temp.properties_of(old, new::regclass::text, '__new_'), new, new::regclass::text, '__new_'
            )
            {# A partitioned table has no storage; see below. #}
            where place < 9 and not (is_parent and place in (2, 3) and what !~ '^tablespace')
        loop
            if property.place = 0 then
                perform pg_temp.refuse(named, property.what, 'no statement can move it');
            end if;
            perform pg_temp.give_property(named, property.what, property.statement, property.as_role);
        end loop;

        {#- Partitions of other bounds cannot have the storage of one each, so all get what the old ones agree on. -#}
        for property in
            select distinct
                had.*,
                leaf,
                leaf is null and what ~ '^(storage|access)' or count(*) over (partition by subject, leaf) > 1 as is_refused
            from (
                select distinct
                    format('%s %s', kind, object) as what,
                    statement,
                    place,
                    case when kind in ('owner', 'tablespace', 'access method') then kind else kind || split_part(object, '=', 1) end as subject
                from pg_temp.leaves_of(old) as every_leaf, pg_temp.read_properties(every_leaf, '{table}', null)
                where place between 1 and 4
            ) as had
            left join pg_temp.leaves_of(new) as leaf on true
            where are_leaves
            order by place, what
        loop
            if property.is_refused then
                perform pg_temp.refuse(named, property.what, 'its partitions differ in it, or it has none');
            elsif property.leaf is not null then
                perform pg_temp.give_property(
                    named, property.what, replace(property.statement, '{table}', property.leaf::regclass::text), null
                );
            end if;
        end loop;
    end
    $function$;

    create or replace function pg_temp.carry_over(had jsonb, old oid, new oid)
    returns void
    language plpgsql
    strict
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        named text := new::regclass;
        of_partitions jsonb := pg_temp.properties_of_partitions(old);
        property record;
        statement text;
    begin
        for statement in
            select format('alter index %s rename to %I; alter index %s rename to %I', olds.oid::regclass, '__old_' || olds.oid, news.oid::regclass, olds.relname)
            from pg_index
            inner join pg_class as olds on pg_index.indexrelid = olds.oid
            inner join pg_class as news on olds.relnamespace = news.relnamespace and '__new_' || olds.oid = news.relname
            where indrelid = old
            union all
            select format('alter statistics %I.%I rename to %I', nspname, stxname, '__old_' || pg_statistic_ext.oid)
            from pg_statistic_ext
            inner join pg_namespace on stxnamespace = pg_namespace.oid
            where stxrelid = old
            union all
            {# Default privileges granted it to the new version, and the old one may have lost it. -#}
            select regexp_replace(has.statement, '^grant (.*) to (.*?)( with grant option)?$', E'revoke \\1 from \\2')
            from pg_temp.read_properties(new, named, null) as has
            where kind = 'grant'
                and has.statement ~ '^grant'
                and has.definition not in (select value ->> 'definition' from jsonb_array_elements(had))
        loop
            execute statement;
        end loop;
        for property in
            select * from pg_temp.find_missing_properties(had, new, named, null) as missing where missing.place >= 9
        loop
            perform pg_temp.give_property(named, property.what, property.statement, property.as_role, new);
        end loop;

        for property in
            select missing.what
            from pg_temp.find_missing_properties(had, new, named, null) as missing
            {# The storage of a plain table is that of each partition. #}
            where not (missing.place in (2, 3) and (select relkind = 'p' from pg_class where oid = new))
            union all
            select missing.what
            from pg_temp.leaves_of(new) as leaf,
                pg_temp.find_missing_properties(of_partitions, leaf, '{table}', null) as missing
        loop
            perform pg_temp.refuse(named, property.what, 'no statement can move it');
        end loop;
    end
    $function$;

    create or replace function pg_temp.remember_properties(old oid)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    begin
        {# The lock of a view would lock all tables below it. #}
        if (select relkind in ('r', 'p') from pg_class where oid = old) then
            execute format('lock table %s in access exclusive mode', old::regclass);
        end if;
        perform set_config('warehouse.properties_of_' || old, pg_temp.properties_of(old, old::regclass::text, null)::text, true);
    end
    $function$;

    create or replace function pg_temp.carry_over_remembered(old oid, new oid)
    returns void
    language sql
    as $function$
        {# Null if the backup is that of an earlier run. #}
        select pg_temp.carry_over(nullif(current_setting('warehouse.properties_of_' || old, true), '')::jsonb, old, new)
    $function$;
{%- endmacro %}
