{% macro apply_partition_by() -%}
    {#-
        A pre-hook: a table that exists gets the partitions that the model declares now, with the rows it has. Without
        it, a model that begins to declare them would go on as it was until somebody thinks of --full-refresh. And what is
        wrong in the configuration is said before anything is built.
    -#}
    {%- if execute -%}
        {%- set partition_by = read_partition_by() -%}
        {%- do check_retain(partition_by) -%}
        {%- if config.get('materialized') == 'incremental' and is_incremental() and shape_of(this) != wanted_shape(partition_by) -%}
            {%- do repartition(this) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro repartition(relation) -%}
    {%- do log(this.identifier ~ ': its partitions are not those of the model; it is written anew with its rows.', info=true) -%}
    {%- set new_relation = make_intermediate_relation(relation.incorporate(type='table')) -%}
    {%- set old_relation = make_backup_relation(relation, 'table') -%}
    {%- set partition_by = read_partition_by() -%}

    {%- call statement('repartition') -%}
        {{ lock_model() }};
        drop table if exists {{ new_relation }};
        lock table {{ relation }} in share row exclusive mode;

        create table {{ new_relation }}
        {%- if config.get('contract').enforced %}
            {{ get_table_columns_and_constraints() }}
        {%- else %}
            (like {{ relation }} including defaults including constraints including generated)
        {%- endif %}
        {%- if partition_by %} partition by {{ partition_by.method }} ({{ partition_by.quoted_fields | join(', ') }}){% endif %}
    {%- endcall -%}
    {%- set changes = check_for_schema_changes(new_relation, relation) -%}
    {%- if changes.schema_changed -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': its partitions and its columns change in one build. Change the one, build, and change the other; or build it'
            ~ ' with --full-refresh. New columns: ' ~ (changes.source_not_in_target | map(attribute='name') | join(', ') or 'none')
            ~ '; columns that go: ' ~ (changes.target_not_in_source | map(attribute='name') | join(', ') or 'none')
            ~ '; other types: ' ~ (changes.new_target_types | map(attribute='column_name') | join(', ') or 'none') ~ '.'
        ) }}
    {%- endif -%}
    {%- if partition_by -%}
        {%- do create_missing_partitions(new_relation, relation) -%}
    {%- endif -%}
    {%- call statement('copy') -%}
        {%- set columns = changes.target_columns | map(attribute='quoted') | join(', ') %}
        insert into {{ new_relation }} ({{ columns }}) select {{ columns }} from {{ relation }}
    {%- endcall -%}
    {%- do create_indexes(new_relation) -%}
    {%- do run_query('analyze ' ~ new_relation) -%}
    {%- do run_query(create_copy_grants_and_comments()) -%}
    {%- do run_query(
        'select pg_temp.copy_grants_and_comments(' ~ regclass_of(relation) ~ ', ' ~ regclass_of(new_relation) ~ ')'
    ) -%}

    {#-
        The swap is committed at once, because its lock keeps readers out, and the rows of the build may take long. The
        session keeps the locks of the model, so that no other build comes in between.
    -#}
    {%- do run_query(lock_patiently(relation, 'the partitions of ' ~ relation ~ ' could not be changed')) -%}
    {%- do run_query(lock_model('pg_advisory_lock')) -%}
    {%- do adapter.rename_relation(relation, old_relation) -%}
    {%- do adapter.rename_relation(new_relation, relation) -%}
    {%- do adapter.drop_relation(old_relation) -%}
    {%- do run_query('commit') -%}
    {%- do run_query('begin') -%}
    {%- do run_query(lock_model()) -%}
    {%- do run_query(use_utc()) -%}
    {%- do run_query(lock_model('pg_advisory_unlock')) -%}
{%- endmacro %}


{% macro shape_of(relation) -%}
    {#- How a table is partitioned, in words such as "range event_timestamp month"; empty when it is not. -#}
    {%- set query -%}
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
                pg_get_expr(pg_class.relpartbound, pg_class.oid) as bound,
                coalesce(pg_class.relnamespace = to_regnamespace('{{ adapter.quote(partition_schema()) }}'), false)
                and pg_class.relname ~ ('_' || parent.partrelid || '$') as is_ours
            from parent
            inner join pg_inherits on parent.partrelid = pg_inherits.inhparent
            inner join pg_class on pg_inherits.inhrelid = pg_class.oid
        ),

        lengths as (
            select
                is_ours,
                extract(epoch from ends - begins) / 86400 as days
            from (
                select
                    is_ours,
                    substring(bound, $$FROM \('(.*?)'\)$$)::timestamptz as begins,
                    substring(bound, $$TO \('(.*?)'\)$$)::timestamptz as ends
                from bounds
            ) as spans
            where isfinite(begins) and isfinite(ends)
        )

        select
            method || ' ' || fields || case method
                {#
                    Somebody may have joined or divided periods. What a build made counts, the longest of it, because it shortens what
                    another partition begins in; without any, as after a restore, what most are.
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
            end
        from parent
    {%- endset -%}
    {%- set found = run_query(query) -%}
    {{ return(found[0][0] if found else '') }}
{%- endmacro %}


{% macro wanted_shape(partition_by) -%}
    {%- if not partition_by -%}
        {{ return('') }}
    {%- endif -%}
    {%- set detail = {'range': ' ' ~ partition_by.granularity, 'hash': ' ' ~ partition_by.partitions, 'list': ''} -%}
    {{ return(partition_by.method ~ ' ' ~ partition_by.fields | join(', ') ~ detail[partition_by.method]) }}
{%- endmacro %}
