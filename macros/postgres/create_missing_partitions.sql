{% macro create_missing_partitions(relation, rows_relation, periods_ahead=0) -%}
    {#-
        One child for each month in the rows to come. A child carries the parent's oid in its name, because
        during a full refresh the children of the old table and of the new one live side by side.
    -#}
    {%- set partition_by = config.get('partition_by') -%}
    {%- if partition_by -%}
    {%- set field = partition_by['fields'][0] -%}
    {%- set child_schema = generate_schema_name('partitions', none) -%}
    create schema if not exists {{ adapter.quote(child_schema) }};

    do $partitions$
    declare
        first_day date;
        child_name text;
    begin
        for first_day in
            select distinct date_trunc('month', months.month_start)::date
            from (
                select {{ field }} at time zone 'UTC' as month_start from {{ rows_relation }}
                {%- if periods_ahead %}
                union all
                select
                    max({{ field }} at time zone 'UTC') + make_interval(months => {{ periods_ahead }})
                from {{ rows_relation }}
                {%- endif %}
            ) as months
            where months.month_start is not null
        loop
            child_name := format('%s_%s_', '{{ this.identifier[:40] }}', to_char(first_day, 'YYYY_MM'));
            -- By the beginning of the name: a restored table has another oid than its children say.
            if not exists (
                select
                from pg_inherits
                inner join pg_class on pg_inherits.inhrelid = pg_class.oid
                where pg_inherits.inhparent = '{{ relation }}'::regclass
                    and starts_with(pg_class.relname, child_name)
            ) then
                execute format(
                    'create table %I.%I partition of {{ relation }} for values from (%L) to (%L)',
                    '{{ child_schema }}',
                    child_name || '{{ relation }}'::regclass::oid,
                    first_day::text || ' 00:00:00+00',
                    (first_day + interval '1 month')::date::text || ' 00:00:00+00'
                );
            end if;
        end loop;
    end
    $partitions$;
    {%- endif -%}
{%- endmacro %}


{% macro create_default_partition(relation) -%}
    {%- set child_schema = generate_schema_name('partitions', none) -%}
    create schema if not exists {{ adapter.quote(child_schema) }};

    do $partitions$
    begin
        execute format(
            'create table %I.%I partition of {{ relation }} default',
            '{{ child_schema }}',
            format('%s_default_%s', '{{ this.identifier[:40] }}', '{{ relation }}'::regclass::oid)
        );
    end
    $partitions$;
{%- endmacro %}
