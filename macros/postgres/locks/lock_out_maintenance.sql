{% macro lock_out_maintenance(oids, failure) -%}
    {%- do run_query(create_lock_out_maintenance() ~ create_try_for_locks()) -%}
    {%- set trouble = run_query(
        "select trouble from pg_temp.try_for_locks('select null', " ~ oids ~ ", '{}')"
    )[0][0] -%}
    {%- if trouble -%}
        {{ exceptions.raise_compiler_error(this ~ ' ' ~ failure ~ '; nothing was changed: ' ~ trouble ~ '.') }}
    {%- endif -%}
{%- endmacro %}


{% macro create_lock_out_maintenance() -%}
    {#-
        VACUUM and ANALYZE wait until the end of the transaction; readers and writers are not affected. Autovacuum gives way
        only to a session that waits for deadlock_timeout, which is longer than an attempt of try_for_locks. And a session that
        has changed a catalog entry, such as the name of an index, would wait for the ANALYZE that waits for this entry. LOCK
        TABLE does not accept a materialized view. The least intrusive command that takes this lock loses a mark of CLUSTER.
    #}
    create or replace function pg_temp.lock_out_maintenance(relations oid[])
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        whole_timeout text := current_setting('lock_timeout');
        statement text;
    begin
        perform set_config('lock_timeout', '{{ var('index_lock_timeout') }}', true);
        for statement in
            select format(
                case relkind
                    when 'm' then 'alter materialized view %I.%I set without cluster'
                    else 'lock table %I.%I in share update exclusive mode'
                end,
                nspname,
                relname
            )
            from unnest(relations) with ordinality as given (oid, place)
            inner join pg_class using (oid)
            inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
            where relkind in ('r', 'p', 'm')
            order by place
        loop
            begin
                execute statement;
            exception
                {#- It was dropped meanwhile, or another role owns it and only that role may lock it: continue without the lock. #}
                when undefined_table or invalid_schema_name or wrong_object_type or insufficient_privilege then
                    null;
            end;
        end loop;
        perform set_config('lock_timeout', whole_timeout, true);
    end
    $function$;
{%- endmacro %}
