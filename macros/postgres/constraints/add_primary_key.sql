{% macro add_primary_key(relation) -%}
    {#-
        Statements that make the unique index of the columns the index of the primary key, which gets its name. They do nothing if
        the key exists, or no index can serve it.
    -#}
    {%- set columns = primary_key_of_contract() -%}
    do $add_primary_key$
    declare
        key_index text;
    begin
        select quote_ident(names.relname) into key_index
        from pg_index
        inner join pg_class as names on pg_index.indexrelid = names.oid
        where pg_index.indrelid = {{ regclass_of(relation) }}
            and {{ can_be_primary_key(columns) }}
            and not exists (
                select from pg_constraint where conrelid = pg_index.indrelid and contype = 'p'
            )
        order by obj_description(names.oid, 'pg_class') is null, names.relname
        limit 1;
        if key_index is not null then
            execute 'alter table {{ relation }} add primary key using index ' || key_index;
        end if;
    end
    $add_primary_key$
{%- endmacro %}


{% macro can_be_primary_key(columns) -%}
    {#- SQL on pg_index: the index is unique on these columns of all rows, in the usual order. It may include others. -#}
    pg_index.indisunique
    and pg_index.indisvalid
    and pg_index.indpred is null
    and pg_index.indexprs is null
    and not pg_index.indnullsnotdistinct
    and pg_index.indnkeyatts = {{ columns | length }}
    and 0 = all(pg_index.indoption)
    and array(
        select attname::text
        from pg_attribute
        where attrelid = pg_index.indrelid and attnum = any((pg_index.indkey::int2[])[0:pg_index.indnkeyatts - 1])
        order by attname::text collate "C"
    ) = array(
        select name
        from unnest(array[{% for column in columns %}{{ postgres_escape_comment(column) }}{{ ', ' if not loop.last }}{% endfor %}]) as name
        order by name collate "C"
    )
{%- endmacro %}
