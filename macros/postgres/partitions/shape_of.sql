{% macro query_of_shape(relation) -%}
    {#- How a table is partitioned, such as "range event_timestamp month"; empty without partitions. -#}
    with

    parent as (
        select
            partrelid,
            case partstrat when 'r' then 'range' when 'l' then 'list' else 'hash' end as method,
            (
                select string_agg(pg_attribute.attname, ', ' order by keys.place)
                from unnest(partattrs::smallint[]) with ordinality as keys (attnum, place)
                inner join pg_attribute on pg_attribute.attrelid = partrelid and keys.attnum = pg_attribute.attnum
            ) as fields
        from pg_partitioned_table
        where partrelid = to_regclass('{{ relation }}')
    ),

    bounds as (
        select
            partitions.lower_bound,
            partitions.upper_bound,
            coalesce(pg_class.relnamespace = to_regnamespace('{{ adapter.quote(partition_schema()) }}'), false)
            and pg_class.relname ~ ('_' || parent.partrelid || '$') as is_ours
        from parent
        inner join {{ partition_bounds() }} as partitions on parent.partrelid = partitions.parent
        inner join pg_class on partitions.partition = pg_class.oid
    ),

    lengths as (
        select
            is_ours,
            extract(epoch from ends - begins) / 86400 as days
        from (
            select
                is_ours,
                lower_bound::timestamptz as begins,
                upper_bound::timestamptz as ends
            from bounds
        ) as spans
        where isfinite(begins) and isfinite(ends)
    )

    select
        method || ' ' || fields || case method
            {#
                Partitions may have been merged or split manually. The longest one that a build created decides, because a
                build shortens a period of which a later part has a partition; if there is none, as after a restore, the
                most common length decides.
            #}
            when 'range' then ' ' || coalesce((
                select
                    case
                        when days < 2 then 'day'
                        when days < 8 then 'week'
                        when days < 32 then 'month'
                        when days < 93 then 'quarter'
                        else 'year'
                    end as granularity
                from lengths
                group by is_ours, granularity
                order by is_ours desc, case when is_ours then max(days) end desc, count(*) desc, max(days) desc
                limit 1
            ), '{{ (config.get("partition_by") or {}).get("granularity", "month") }}')
            when 'hash' then ' ' || (select count(*) from bounds)
            else ''
        end as shape
    from parent
{%- endmacro %}


{% macro shape_of(relation) -%}
    {%- set found = run_query(query_of_shape(relation)) -%}
    {{ return(found[0][0] if found else '') }}
{%- endmacro %}


{% macro wanted_shape(partition_by) -%}
    {%- if not partition_by -%}
        {{ return('') }}
    {%- endif -%}
    {%- set detail = {'range': ' ' ~ partition_by.granularity, 'hash': ' ' ~ partition_by.partitions, 'list': ''} -%}
    {{ return(partition_by.method ~ ' ' ~ partition_by.fields | join(', ') ~ detail[partition_by.method]) }}
{%- endmacro %}
