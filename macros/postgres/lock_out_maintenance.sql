{% macro lock_out_maintenance(oids, failure) -%}
    {%- do run_query(create_functions_that_replace()) -%}
    {%- set trouble = run_query(
        "select trouble from pg_temp.try_for_locks('select null', " ~ oids ~ ", '{}', " ~ lock_patience() ~ ')'
    )[0][0] -%}
    {%- if trouble -%}
        {{ exceptions.raise_compiler_error(this.identifier ~ ': ' ~ failure ~ ': ' ~ trouble ~ '.') }}
    {%- endif -%}
{%- endmacro %}


{% macro create_lock_out_maintenance() -%}
    {#-
        VACUUM and ANALYZE wait till the end of the transaction, readers and writers do not notice. Autovacuum gives way only
        to one who waits for deadlock_timeout, which an attempt of try_for_locks never does. And who has changed an entry of the
        catalog, such as the name of an index, would wait for the ANALYZE that waits for this entry.
    #}
    {#- LOCK TABLE takes no materialized view. Of what takes the same lock this changes least: a mark of CLUSTER is lost. -#}
    create or replace function pg_temp.lock_out_maintenance(relations oid[])
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        statement text;
    begin
        for statement in
            select format(
                case relkind
                    when 'm' then 'alter materialized view %s set without cluster'
                    else 'lock table %s in share update exclusive mode'
                end,
                oid::regclass
            )
            from unnest(relations) with ordinality as given (oid, place)
            inner join pg_class using (oid)
            where relkind in ('r', 'p', 'm')
            order by place
        loop
            begin
                execute statement;
            exception
                when undefined_table then
                    null;
            end;
        end loop;
    end
    $function$;
{%- endmacro %}
