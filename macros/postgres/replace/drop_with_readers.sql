{% macro create_drop_with_readers() -%}
    {#- Returns PostgreSQL's list of the dependents that were dropped, or null. -#}
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
    begin
        if statement is not null then
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
