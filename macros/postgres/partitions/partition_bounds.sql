{% macro partition_bounds() -%}
    {#- PostgreSQL offers bounds only as text. Nothing else parses it. -#}
    (
        select
            pg_inherits.inhparent::regclass as parent,
            pg_inherits.inhrelid::regclass as partition,
            case pg_partitioned_table.partstrat when 'r' then 'range' when 'l' then 'list' else 'hash' end as method,
            case
                when pg_partitioned_table.partstrat != 'r' or pg_partitioned_table.partnatts != 1 then null
                when starts_with(printed.bounds, 'FOR VALUES FROM (MINVALUE)') then '-infinity'
                else substring(printed.bounds, $$FROM \('(.*?)'\)$$)
            end as lower_bound,
            case
                when pg_partitioned_table.partstrat != 'r' or pg_partitioned_table.partnatts != 1 then null
                when right(printed.bounds, 13) = 'TO (MAXVALUE)' then 'infinity'
                else substring(printed.bounds, $$TO \('(.*?)'\)$$)
            end as upper_bound,
            printed.bounds = 'DEFAULT' as is_default
        from pg_inherits
        inner join pg_partitioned_table on pg_inherits.inhparent = pg_partitioned_table.partrelid
        inner join pg_class on pg_inherits.inhrelid = pg_class.oid
        cross join lateral (select pg_get_expr(pg_class.relpartbound, pg_class.oid) as bounds) as printed
    )
{%- endmacro %}


{% macro create_partition_bounds() -%}
    {%- set view = state_relation('partition_bounds') -%}
    {%- set query = 'select * from ' ~ partition_bounds() ~ ' as bounds' -%}
    {%- set comment -%}
        The partitions of all tables of this database: parent, partition, method (range, list, hash), is_default; for a range
        over one date or timestamp, lower_bound (included) and upper_bound (excluded), null for the default partition.
        Version {{ local_md5(query) }}.
    {%- endset -%}
    {#- Replacing a view waits for its readers, so it is replaced only if its query changed. -#}
    select pg_advisory_xact_lock(hashtext('{{ view }}'));

    do $create_partition_bounds$
    begin
        if obj_description({{ regclass_of(view) }}, 'pg_class') is distinct from $comment${{ comment.split() | join(' ') }}$comment$ then
            create or replace view {{ view }} as
            {{ query }};
            comment on view {{ view }} is $comment${{ comment.split() | join(' ') }}$comment$;
        end if;
    end
    $create_partition_bounds$
{%- endmacro %}
