{% macro reconcile_foreign_keys(wanted, tables) -%}
    {#-
        One query tells what differs; usually nothing does, and nothing is locked. Each foreign key is a transaction of its own, which
        locks the two tables against writers for an instant. What fails is left to the next run: a build does not need it.
    -#}
    {%- set differing = run_query(query_of_foreign_keys(wanted, tables)) if tables else [] -%}
    {%- if differing | length -%}
        {%- do run_query(create_lock_out_maintenance() ~ create_try_for_locks() ~ create_try_foreign_key()) -%}
        {%- set locked = [] -%}
        {%- for found in differing if found['table_name'] not in locked -%}
            {%- set outcome = run_query(
                'select * from pg_temp.try_foreign_key(' ~ postgres_escape_comment(found['statement']) ~ ", '{" ~ found['table_oid'] ~ ', '
                ~ found['target_oid'] ~ "}')"
            )[0] -%}
            {%- if outcome['trouble'] -%}
                {%- do log(
                    found['table_name'] ~ ': the foreign key ' ~ found['name'] ~ ' was not ' ~ found['done'] ~ '; the next run will retry: '
                    ~ outcome['trouble'] ~ '.', info=true
                ) -%}
            {%- else -%}
                {%- do log(found['table_name'] ~ ': the foreign key ' ~ found['name'] ~ ' was ' ~ found['done'] ~ '.', info=false) -%}
            {%- endif -%}
            {%- if outcome['is_locked'] -%}
                {%- do locked.append(found['table_name']) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro query_of_foreign_keys(wanted, tables) -%}
    {#-
        The foreign keys to drop, then those to add. PostgreSQL wants a unique index of the field. A manually added one of the same
        columns serves as well. Those of other targets and projects in this database are not ours.
    -#}
    with

    wanted as (
        select
            name,
            to_regclass(table_name)::oid as table_oid,
            column_name,
            to_regclass(target_name)::oid as target_oid,
            field_name
        from json_to_recordset({{ postgres_escape_comment(tojson(wanted)) }}) as given (
            name text, table_name text, column_name text, target_name text, field_name text
        )
    ),

    possible as (
        select
            wanted.*,
            columns.attnum as column_number,
            fields.attnum as field_number
        from wanted
        inner join pg_class as tables on wanted.table_oid = tables.oid
        inner join pg_attribute as columns on tables.oid = columns.attrelid and wanted.column_name = columns.attname
        inner join pg_attribute as fields on wanted.target_oid = fields.attrelid and wanted.field_name = fields.attname
        where tables.relkind in ('r', 'p')
            and current_setting('server_version_num')::int >= 180000
            and exists (
                select
                from pg_index
                where indrelid = wanted.target_oid
                    and indisunique
                    and indimmediate
                    and indisvalid
                    and indpred is null
                    and indexprs is null
                    and indnkeyatts = 1
                    and indkey[0] = fields.attnum
            )
    ),

    surplus as (
        select *
        from pg_constraint
        where {{ is_own_foreign_key() }}
            and conrelid in (select to_regclass(value) from json_array_elements_text({{ postgres_escape_comment(tojson(tables)) }}))
            and not exists (
                select
                from possible
                where possible.table_oid = conrelid
                    and possible.target_oid = confrelid
                    and conkey = array[possible.column_number]
                    and confkey = array[possible.field_number]
            )
    )

    select
        'dropped' as done,
        surplus.conname::text as name,
        surplus.conrelid::regclass::text as table_name,
        surplus.conrelid::bigint as table_oid,
        surplus.confrelid::bigint as target_oid,
        format('alter table %s drop constraint %I', surplus.conrelid::regclass, surplus.conname) as statement
    from surplus
    union all
    select
        'added',
        possible.name,
        possible.table_oid::regclass::text,
        possible.table_oid::bigint,
        possible.target_oid::bigint,
        format(
            'alter table %1$s add constraint %2$I foreign key (%3$I) references %4$s (%5$I) not enforced; comment on constraint %2$I on %1$s is %6$L',
            possible.table_oid::regclass,
            possible.name,
            possible.column_name,
            possible.target_oid::regclass,
            possible.field_name,
            {{ postgres_escape_comment(mark_of_foreign_key()) }}
        )
    from possible
    where not exists (
        select
        from pg_constraint
        where contype = 'f'
            and conrelid = possible.table_oid
            and confrelid = possible.target_oid
            and conkey = array[possible.column_number]
            and confkey = array[possible.field_number]
    )
    order by done desc, table_name, name
{%- endmacro %}


{% macro create_try_foreign_key() -%}
    {#-
        Two attempts, of which one is long enough for autovacuum to give way. Nobody waits for a manual VACUUM or an index that another
        run creates. Another run that ends at the same time may have added or dropped it.
    #}
    create or replace function pg_temp.try_foreign_key(statement text, tables oid[], out trouble text, out is_locked boolean)
    language plpgsql
    as $function$
    begin
        trouble := (pg_temp.try_for_locks(
            format('select pg_temp.run_statements(%L)', statement), tables, '{AccessShareLock,RowShareLock}', 2, false
        )).trouble;
        is_locked := trouble is not null;
    exception
        when duplicate_object or undefined_object or undefined_table then
            is_locked := false;
        when others then
            trouble := sqlerrm;
            is_locked := false;
    end
    $function$;
{%- endmacro %}
