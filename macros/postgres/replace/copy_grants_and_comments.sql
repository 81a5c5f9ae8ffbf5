{% macro create_copy_grants_and_comments() -%}
    {#- Revokes what default privileges granted to the new relation: the old one may have lost it. -#}
    create or replace function pg_temp.copy_grants_and_comments(old oid, new oid)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        statement text;
    begin
        for statement in
            with

            shared_columns as (
                select
                    old_column.attnum,
                    old_column.attname,
                    old_column.attacl
                from pg_attribute as old_column
                inner join pg_attribute as new_column on old_column.attname = new_column.attname
                where old_column.attrelid = old and new_column.attrelid = new and old_column.attnum > 0
            ),

            grants as (
                select
                    pg_class.oid,
                    grantee,
                    privilege_type as privilege,
                    is_grantable
                from pg_class, aclexplode(relacl)
                where pg_class.oid in (old, new) and grantee != relowner
                union all
                select
                    old as oid,
                    grantee,
                    format('%s (%I)', privilege_type, attname) as privilege,
                    is_grantable
                from shared_columns, aclexplode(attacl)
            ),

            named_grants as (
                select
                    *,
                    case grantee when 0 then 'public' else grantee::regrole::text end as who
                from grants
            )

            select format('revoke %s on %s from %s', privilege, new::regclass, who)
            from named_grants
            where oid = new
            union all
            select format('grant %s on %s to %s', privilege, new::regclass, who) || case when is_grantable then ' with grant option' else '' end
            from named_grants
            where oid = old
            union all
            select format(
                'comment on %s %s is %L',
                case relkind when 'm' then 'materialized view' else 'table' end,
                new::regclass,
                obj_description(old, 'pg_class')
            )
            from pg_class
            where oid = new
            union all
            select format('comment on column %s.%I is %L', new::regclass, attname, col_description(old, attnum))
            from shared_columns
            where col_description(old, attnum) is not null
        loop
            execute statement;
        end loop;
    end
    $function$;
{%- endmacro %}
