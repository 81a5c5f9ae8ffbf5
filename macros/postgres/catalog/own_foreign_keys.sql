{% macro mark_of_foreign_key() -%}
    {#- The comment of a foreign key that reconcile_foreign_keys added. Others were added manually. -#}
    {{ return('dbt: declared by a relationships test') }}
{%- endmacro %}


{% macro is_own_foreign_key() -%}
    {#- On pg_constraint. Those of partitions come and go with that of their table. -#}
    (
        pg_constraint.contype = 'f'
        and pg_constraint.conparentid = 0
        and obj_description(pg_constraint.oid, 'pg_constraint') is not distinct from {{ postgres_escape_comment(mark_of_foreign_key()) }}
    )
{%- endmacro %}


{% macro drops_of_own_foreign_keys(where) -%}
    {#- The statements, in the order in which every session locks the tables. The end of the run adds them again. -#}
    select format('alter table %s drop constraint %I', conrelid::regclass, conname)
    from pg_constraint
    where {{ is_own_foreign_key() }} and ({{ where }})
    order by conrelid, conname
{%- endmacro %}


{% macro drop_own_foreign_keys(where) -%}
    do $drop_own_foreign_keys$
    declare
        statement text;
    begin
        for statement in
            {{ drops_of_own_foreign_keys(where) }}
        loop
            execute statement;
        end loop;
    end
    $drop_own_foreign_keys$
{%- endmacro %}
