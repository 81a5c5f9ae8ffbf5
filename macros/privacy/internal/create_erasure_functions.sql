{% macro create_erasure_functions() -%}
    {#-
        Builds, `warehouse load` and `warehouse erase` call the same functions, so that a row is erased in the same way wherever it
        appears. The persons of a session are in pg_temp.person_keys.
    -#}
    do $create$
    declare
        definitions constant text := $definitions$
            create or replace function privacy.create_person_keys()
            returns void language plpgsql as $body$
            begin
                if to_regclass('pg_temp.person_keys') is null then
                    create temporary table person_keys (
                        identifier text not null,
                        old_value text not null,
                        new_value text not null,
                        primary key (identifier, old_value)
                    );
                end if;
            end
            $body$;

            create or replace function privacy.find_erased_values(query text, identifier text)
            returns void language plpgsql as $body$
            declare
                version integer;
            begin
                for version in
                    select distinct substring(erased_keys.pseudonym from '^p(\d+)_')::integer
                    from privacy.erased_keys
                    where erased_keys.identifier = find_erased_values.identifier
                loop
                    execute format(
                        'insert into pg_temp.person_keys (identifier, old_value, new_value)'
                        ' select %1$L, candidates.value, ''erased_'' || candidates.pseudonym'
                        ' from ('
                        '     select value, privacy.pseudonym_of_version(value, %2$L, %3$s) as pseudonym'
                        '     from (%4$s) as given (value)'
                        '     where value != '''' and value not like ''erased\_p%%'''
                        ' ) as candidates'
                        ' inner join privacy.erased_keys'
                        '     on candidates.pseudonym = erased_keys.pseudonym and erased_keys.identifier = %1$L'
                        ' on conflict do nothing',
                        identifier, 'erased_' || identifier, version, query
                    );
                end loop;
            end
            $body$;

            create or replace function privacy.find_erased_keys(relation regclass, identifier text, condition text)
            returns void language sql as $body$
                select privacy.find_erased_values(
                    format('select distinct %1$I::text from %2$s where %1$I is not null and %3$s', identifier, relation, condition), identifier
                )
            $body$;

            create or replace function privacy.condition_of_persons(plan jsonb)
            returns text language sql stable as $body$
                select string_agg(
                    format(
                        '(%s::text in (select old_value from pg_temp.person_keys where identifier = %L) and %s and %s)',
                        case
                            when entry ->> 'json_key' is null then format('t.%I', entry ->> 'column')
                            else format('(t.%I ->> %L)', entry ->> 'column', entry ->> 'json_key')
                        end,
                        entry ->> 'identifier',
                        coalesce(entry ->> 'where', 'true'),
                        coalesce(entry ->> 'match_where', 'true')
                    ),
                    ' or '
                )
                from jsonb_array_elements(plan -> 'keys') as entry
            $body$;

            create or replace function privacy.erase_rows(relation regclass, plan jsonb)
            returns bigint language plpgsql as $body$
            declare
                entry jsonb;
                name text;
                value text;
                kind text;
                required boolean;
                expressions jsonb := '{}';
                to_erase text;
                is_there boolean;
                changed bigint;
            begin
                if not exists (select from pg_class where oid = relation and relkind in ('r', 'p')) then
                    raise exception '% is no table, so nobody can be erased from it. Erase where its rows come from, or load them into a table.',
                        relation;
                end if;
                for entry in select * from jsonb_array_elements(plan -> 'keys') loop
                    name := entry ->> 'column';
                    continue when (entry ->> 'is_kept')::boolean or plan -> 'cleared' ? name;
                    select format_type(atttypid, atttypmod) into strict kind
                    from pg_attribute where attrelid = relation and attname = name;
                    -- 43 characters: erased_p1_ and 32 digits; a version of the key may have more digits.
                    if kind not in ('text', 'json', 'jsonb', 'character varying') and not coalesce(
                        substring(kind from '^character varying\((\d+)\)$')::integer >= 50, false
                    ) then
                        raise exception 'The column %.% is of type %, and the key of an erased person is a text of up to 50 characters. Run: alter table % alter % type text',
                            relation, name, kind, relation, name;
                    end if;
                    value := coalesce(expressions ->> name, format('t.%I', name));
                    if entry ->> 'json_key' is null then
                        value := format(
                            'coalesce((select new_value::%s from pg_temp.person_keys where identifier = %L and old_value = t.%I::text and %s), %s)',
                            kind, entry ->> 'identifier', name, coalesce(entry ->> 'where', 'true'), value
                        );
                    else
                        value := format(
                            'coalesce((select jsonb_set((%1$s)::jsonb, array[%2$L], to_jsonb(new_value)) from pg_temp.person_keys'
                            ' where identifier = %3$L and old_value = t.%4$I ->> %2$L and %5$s)::%6$s, %1$s)',
                            value, entry ->> 'json_key', entry ->> 'identifier', name, coalesce(entry ->> 'where', 'true'), kind
                        );
                    end if;
                    expressions := expressions || jsonb_build_object(name, value);
                end loop;
                for name in select * from jsonb_array_elements_text(plan -> 'cleared') loop
                    select format_type(atttypid, atttypmod), attnotnull into strict kind, required
                    from pg_attribute where attrelid = relation and attname = name;
                    value := case
                        when kind in ('json', 'jsonb') and plan ->> 'stamp' is null then '''{}'''
                        when not required then 'null'
                        when kind in ('json', 'jsonb') then '''{}'''
                        when kind like '%[]' then '''{}'''
                        when kind in ('text', 'character varying') then ''''''
                    end;
                    if value is null then
                        raise exception 'The column %.% is not null and of type %, so it cannot be erased. Drop the constraint, or tag what it is made of.',
                            relation, name, kind;
                    end if;
                    expressions := expressions || jsonb_build_object(name, value);
                end loop;
                -- Rows that are erased already are left alone, whether a json of theirs is null or '{}'.
                select format('(%s) and (%s)', privacy.condition_of_persons(plan), string_agg(
                    format('nullif(t.%I::text, ''{}'') is distinct from nullif((%s)::text, ''{}'')', each.key, each.value), ' or '
                )) into to_erase
                from jsonb_each_text(expressions) as each;
                if not has_table_privilege(relation, 'update') then
                    execute format('select exists (select from %s as t where %s)', relation, to_erase) into is_there;
                    if is_there then
                        raise exception 'Rows of persons who are erased are in %, and the role % may not erase them from it. Run `warehouse erase --apply` as a role that may, and load with `warehouse load`, which keeps them out.',
                            relation, current_role;
                    end if;
                    return 0;
                end if;
                if plan ->> 'stamp' is not null then
                    expressions := expressions || jsonb_build_object(plan ->> 'stamp', 'now()');
                end if;
                if plan ->> 'unique_key' is not null then
                    -- The person came back beside the erased row, which the new one replaces.
                    execute format(
                        'delete from %1$s as t using %1$s as returned'
                        ' inner join pg_temp.person_keys on person_keys.identifier = %2$L and returned.%3$I::text = person_keys.old_value'
                        ' where t.%3$I::text = person_keys.new_value',
                        relation, plan ->> 'identifier_of_key', plan ->> 'unique_key'
                    );
                end if;
                execute format(
                    'update %s as t set %s where %s',
                    relation,
                    (select string_agg(format('%I = %s', each.key, each.value), ', ') from jsonb_each_text(expressions) as each),
                    to_erase
                );
                get diagnostics changed = row_count;
                return changed;
            end
            $body$;

            create or replace function privacy.add_related_keys(sources jsonb)
            returns void language plpgsql as $body$
            declare
                source jsonb;
                entry jsonb;
            begin
                -- Devices that the persons used.
                for source in select * from jsonb_array_elements(sources) loop
                    for entry in select * from jsonb_array_elements(source -> 'devices') loop
                        execute format(
                            'insert into pg_temp.person_keys (identifier, old_value, new_value)'
                            ' select %1$L, value, ''erased_'' || privacy.pseudonym(value, %2$L)'
                            ' from (select distinct t.%1$I::text as value from %3$s as t'
                            '     where t.%4$I::text in (select old_value from pg_temp.person_keys where identifier = %4$L)) as given'
                            ' where value not like ''erased\_p%%'''
                            ' on conflict do nothing',
                            entry ->> 'column', 'erased_' || (entry ->> 'column'), source ->> 'relation', source ->> 'person'
                        );
                    end loop;
                end loop;
                -- Rows, such as sessions, to which rows without a person belong.
                for source in select * from jsonb_array_elements(sources) loop
                    entry := source -> 'parent';
                    continue when entry is null;
                    if exists (select from pg_temp.person_keys) then
                        execute format(
                            'insert into pg_temp.person_keys (identifier, old_value, new_value)'
                            ' select distinct %1$L, t.%1$I::text, t.%1$I::text from %2$s as t'
                            ' where t.%1$I is not null and (%3$s)'
                            ' on conflict do nothing',
                            entry ->> 'key', entry ->> 'relation', privacy.condition_of_persons(entry)
                        );
                    end if;
                    -- And those of persons erased before, which the loaded rows name. An index finds these.
                    continue when entry ->> 'loaded_where' is null;
                    execute format(
                        'insert into pg_temp.person_keys (identifier, old_value, new_value)'
                        ' select distinct %1$L, t.%1$I::text, t.%1$I::text'
                        ' from (select distinct %1$I from %2$s where %3$I is null and %1$I is not null and %4$s) as loaded'
                        ' inner join %5$s as t on loaded.%1$I = t.%1$I'
                        ' where t.%3$I like ''erased\_p%%'''
                        ' on conflict do nothing',
                        entry ->> 'key', source ->> 'relation', source ->> 'person', entry ->> 'loaded_where', entry ->> 'relation'
                    );
                end loop;
            end
            $body$;

            create or replace function privacy.storage_of(relation regclass)
            returns text language sql stable as $body$
                select oid || ':' || coalesce(pg_relation_filenode(oid), 0) from pg_class where oid = relation
            $body$;

            create or replace function privacy.erase_loaded(sources jsonb, load_overlap interval, is_whole boolean)
            returns bigint language plpgsql as $body$
            declare
                given jsonb := sources;
                source jsonb;
                place integer := 0;
                identifier text;
                condition text;
                seen timestamptz;
                changed bigint := 0;
            begin
                if not exists (select from privacy.erased_keys) then
                    return 0;
                end if;
                perform privacy.create_person_keys();
                delete from pg_temp.person_keys;
                for source in select * from jsonb_array_elements(sources) loop
                    select format('_loaded_at >= %L', ledger_checks.checked_through - load_overlap) into condition
                    from privacy.ledger_checks
                    where not is_whole and ledger_checks.relation = source ->> 'relation'
                        and ledger_checks.storage = privacy.storage_of((source ->> 'relation')::regclass);
                    condition := coalesce(condition, 'true');
                    if source -> 'parent' is not null then
                        given := jsonb_set(given, array[place::text, 'parent', 'loaded_where'], to_jsonb(condition));
                    end if;
                    place := place + 1;
                    perform privacy.find_erased_keys((source ->> 'relation')::regclass, source ->> 'person', condition);
                    for identifier in select device ->> 'column' from jsonb_array_elements(source -> 'devices') as device loop
                        perform privacy.find_erased_keys(
                            (source ->> 'relation')::regclass, identifier, format('%s and %I is null', condition, source ->> 'person')
                        );
                    end loop;
                end loop;
                perform privacy.add_related_keys(given);
                for source in select * from jsonb_array_elements(given) loop
                    if exists (select from pg_temp.person_keys) then
                        changed := changed + privacy.erase_rows((source ->> 'relation')::regclass, source -> 'plan');
                    end if;
                    execute format('select max(_loaded_at) from %s', source ->> 'relation') into seen;
                    insert into privacy.ledger_checks (relation, storage, checked_through)
                    values (
                        source ->> 'relation', privacy.storage_of((source ->> 'relation')::regclass), coalesce(seen, '-infinity')
                    )
                    on conflict (relation) do update
                    set storage = excluded.storage, checked_through = excluded.checked_through
                    where (ledger_checks.storage, ledger_checks.checked_through) is distinct from (excluded.storage, excluded.checked_through);
                end loop;
                return changed;
            end
            $body$;

            create or replace function privacy.words_of(given text)
            returns setof text language sql immutable as $body$
                select regexp_split_to_table(given, '[][{}()"'',;:|=&?<>[:space:]]+')
            $body$;

            create or replace function privacy.erase_texts(relation regclass, text_column text, condition text)
            returns bigint language plpgsql as $body$
            declare
                identifier text;
                changed bigint;
            begin
                -- A rejected row has no columns: a person in it is found by a word that is the key of one who was erased.
                perform privacy.create_person_keys();
                for identifier in select distinct erased_keys.identifier from privacy.erased_keys loop
                    perform privacy.find_erased_values(
                        format('select distinct privacy.words_of(t.%I) from %s as t where %s', text_column, relation, condition), identifier
                    );
                end loop;
                -- The texts of one line must differ.
                execute format(
                    'update %1$s as t set %2$I = ''erased '' || gen_random_uuid()'
                    ' where %3$s and exists ('
                    '     select from privacy.words_of(t.%2$I) as words (word)'
                    '     where words.word in (select old_value from pg_temp.person_keys where identifier != ''hash''))',
                    relation, text_column, condition
                );
                get diagnostics changed = row_count;
                return changed;
            end
            $body$;

            create or replace function privacy.refuse_change()
            returns trigger language plpgsql as $body$
            begin
                raise exception 'privacy.audit_trail is append-only: % is refused.', lower(tg_op);
            end
            $body$;

            create or replace trigger audit_trail_is_append_only
            before update or delete or truncate on privacy.audit_trail
            for each statement execute function privacy.refuse_change();
        $definitions$;
    begin
        if to_regprocedure('privacy.erase_rows(regclass, jsonb)') is null
            or obj_description(to_regprocedure('privacy.erase_rows(regclass, jsonb)'), 'pg_proc') is distinct from 'Definition ' || md5(definitions)
        then
            execute definitions;
            execute format('comment on function privacy.erase_rows(regclass, jsonb) is %L', 'Definition ' || md5(definitions));
        end if;
    end
    $create$;
{%- endmacro %}
