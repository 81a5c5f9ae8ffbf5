{% macro create_drop_with_readers() -%}
    {#-
        Returns PostgreSQL's list of the dependents that were dropped, or null. Foreign keys that the end of the run adds again are
        not among them, except on tables of another role: only the cascade drops those.
    -#}
    create or replace function pg_temp.drop_foreign_key(statement text)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    begin
        execute statement;
    exception
        {# Another thread has just replaced the table that refers to this one: look again. -#}
        when lock_not_available or undefined_table or undefined_object then
            raise exception using errcode = 'lock_not_available', message = format('%s (%s)', sqlerrm, statement);
        when insufficient_privilege then
            null;
    end
    $function$;

    create or replace function pg_temp.drop_with_readers(relation oid)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        statement text := (
            select format(
                'drop %s %s',
                case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' else 'table' end,
                oid::regclass
            )
            from pg_class
            where oid = relation
        );
        readers text;
        foreign_key text;
    begin
        if statement is not null then
            for foreign_key in
                {{ drops_of_own_foreign_keys('confrelid = relation and conrelid != relation') }}
            loop
                perform pg_temp.drop_foreign_key(foreign_key);
            end loop;
            execute statement;
        end if;
        return null;
    exception
        when dependent_objects_still_exist then
            get stacked diagnostics readers = pg_exception_detail;
            execute statement || ' cascade';
            return replace(readers, e'\n', '; ');
    end
    $function$;
{%- endmacro %}
