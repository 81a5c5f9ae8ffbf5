{% macro create_try_for_locks() -%}
    {#-
        Waits for a lock a little while, and again: whoever comes after a waiting one has to wait as well. The last attempt but one
        is long enough for autovacuum of a table for long values (TOAST), which cannot be locked out, to give way.
    -#}
    {%- set patience = lock_patience() -%}
    create or replace function pg_temp.try_for_locks(
        statement text,
        relations oid[],
        harmless_modes text[],
        attempts integer default {{ patience.attempts }},
        locks_out boolean default true,
        out answer text,
        out trouble text
    )
    language plpgsql
    as $function$
    declare
        lock_timeout constant text := {{ patience.lock_timeout }};
        whole_timeout text := current_setting('lock_timeout');
        is_locked_out boolean;
        holders text;
    begin
        for attempt in 1 .. attempts loop
            begin
                is_locked_out := false;
                if locks_out then
                    perform pg_temp.lock_out_maintenance(relations);
                end if;
                is_locked_out := true;
                perform set_config('lock_timeout', case when attempt != greatest(attempts - 1, 1) then lock_timeout else (
                    select (extract(epoch from greatest(
                        lock_timeout::interval,
                        current_setting('deadlock_timeout')::interval + interval '200 ms'
                    )) * 1000)::int::text
                ) end, true);
                execute statement into answer;
                perform set_config('lock_timeout', whole_timeout, true);
                trouble := null;
                return;
            exception
                when deadlock_detected then
                    trouble := sqlerrm;
                when lock_not_available then
                    trouble := sqlerrm;
                    exit when not is_locked_out;
                when internal_error then
                    {# Another build has dropped a reader since this one found it. #}
                    if sqlerrm !~ '^could not open relation' then
                        raise;
                    end if;
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
            coalesce(nullif(application_name, ''), nullif(backend_type, 'client backend'), 'no application_name')
        ), ', ')
        into holders
        from pg_locks
        left join pg_stat_activity on pg_locks.pid = pg_stat_activity.pid
        where pg_locks.granted
            and pg_locks.locktype = 'relation'
            and pg_locks.database = (select oid from pg_database where datname = current_database())
            and pg_locks.relation in (
                select unnest(array[tree.oid, pg_class.reltoastrelid])
                from unnest(relations) as given (oid),
                    lateral (select given.oid union select relid from pg_partition_tree(given.oid)) as tree (oid)
                inner join pg_class on tree.oid = pg_class.oid
            )
            and pg_locks.mode != all(
                case when is_locked_out then harmless_modes else '{AccessShareLock,RowShareLock,RowExclusiveLock}' end
            )
            and pg_locks.pid != pg_backend_pid();
        trouble := format(
            '%s%s; held: %s',
            trouble,
            case when is_locked_out then format(', tried %s times for %s', attempts, lock_timeout) end,
            coalesce(holders, 'nothing any more')
        );
    end
    $function$;

    {#- A statement without a result has no first value, and several statements have no common one. #}
    create or replace function pg_temp.run_statements(statements text)
    returns text
    language plpgsql
    as $function$
    begin
        execute statements;
        return null;
    end
    $function$;
{%- endmacro %}
