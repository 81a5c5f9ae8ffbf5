{% macro remember_watermarks(upstreams, definition, own_columns=[], own_queries=[], with_storage=false) -%}
    {#-
        Taken before anything is read: what is committed in between is read now and again by the next run, which is harmless;
        taken afterwards, it would be lost.
    -#}
    {%- set query -%}
        create temporary table this_run as
        select
            upstream_name,
            {{ system_identifier() }} as system_identifier,
            pg_current_snapshot() as run_snapshot,
            loaded_through,
            fingerprint,
            storage,
            own_columns,
            own_queries
        from (
            select
                '(definition)' as upstream_name,
                null::timestamptz as loaded_through,
                '{{ definition }}' as fingerprint,
                {{ storage_of(this) }} as storage,
                array[{{ quoted_texts(own_columns) }}]::text[] as own_columns,
                array[{{ quoted_texts(own_queries) }}]::text[] as own_queries
            {%- for upstream in upstreams if not upstream.is_elsewhere %}
            union all
            select
                '{{ upstream.name }}' as upstream_name,
                {% if upstream.kind == 'loaded' or upstream.has_load_time -%}
                    {#- A row stamped in the future must not hide later rows; least() skips a null. -#}
                    (
                        select case when max({{ load_time_of(upstream) }}) is not null then least(max({{ load_time_of(upstream) }}), clock_timestamp()) end
                        from {{ upstream.relation }}
                    )
                {%- else -%}
                    null::timestamptz
                {%- endif %} as loaded_through,
                {% if upstream.kind == 'lookup' -%}
                    {{ fingerprint_of(upstream.relation) }}
                {%- elif upstream.kind == 'loaded' and not upstream.is_query -%}
                    {#- PostgreSQL keeps the query of a view, not that of a table. A snapshot cannot say which states it lost. -#}
                    {{ storage_of(upstream.relation) ~ '::text' if upstream.is_snapshot else 'coalesce(' ~ view_fingerprint_of(upstream.relation) ~ ", '" ~ upstream.definition ~ "')" }}
                {%- else -%}
                    null::text
                {%- endif %} as fingerprint,
                {{ storage_of(upstream.relation) if with_storage and upstream.kind == 'logged' else 'null::text[]' }} as storage,
                null::text[] as own_columns,
                null::text[] as own_queries
            {%- endfor %}
        ) as upstreams
    {%- endset -%}
    {%- do run_query(query) -%}
{%- endmacro %}


{% macro advance_watermarks() -%}
    {#-
        Inside the model's transaction: the watermarks and the table change together or not at all. A new table is marked for
        its readers; one created from empty inputs has read nothing itself.
    -#}
    {%- if execute -%}
        {%- set name = state_name(model) -%}
        {%- set found = {'has_watermarks': true} if is_incremental() and is_left_alone() else run_query(
            "select to_regclass('pg_temp.this_run') is not null as has_watermarks, to_regclass('pg_temp.applied_changes') is null as is_new_table"
        )[0] -%}
        {%- set has_watermarks = found['has_watermarks'] -%}
        {#- The readers of a view compare its rows, not its log. -#}
        {%- set is_new_table = config.get('materialized') == 'incremental' and found['is_new_table'] -%}
        {%- if is_new_table %}
        {%- do check_own_columns(has_watermarks) -%}
        {%- do check_contract_types() %}
        insert into {{ state_relation('key_changes') }} (model_name, written_by, changed_keys)
        values ('{{ name }}', pg_current_xact_id(), null);
        {%- elif has_watermarks and config.get('materialized') == 'incremental' and not is_left_alone() %}
        {#- Readers have seen rows that the table lost, and changed_keys cannot say which. -#}
        insert into {{ state_relation('key_changes') }} (model_name, written_by, changed_keys)
        select '{{ name }}', pg_current_xact_id(), null
        from {{ state_relation('watermarks') }} as watermarks
        inner join pg_temp.this_run on watermarks.upstream_name = this_run.upstream_name
        where watermarks.model_name = '{{ name }}'
            and watermarks.upstream_name = '(definition)'
            and not watermarks.storage <@ this_run.storage;
        {%- endif %}
        {%- if is_new_table and (flags.EMPTY or is_sample()) %}
        delete from {{ state_relation('watermarks') }} where model_name = '{{ name }}'
        {%- elif has_watermarks %}
        {#- What this run did not read here, but in another target, it has not read up to any point. -#}
        delete from {{ state_relation('watermarks') }}
        where model_name = '{{ name }}' and upstream_name not in (select upstream_name from pg_temp.this_run);

        insert into {{ state_relation('watermarks') }} (
            model_name,
            upstream_name,
            system_identifier,
            run_snapshot,
            loaded_through,
            fingerprint,
            storage,
            as_of,
            advanced_at
        )
        select
            '{{ name }}',
            upstream_name,
            system_identifier,
            run_snapshot,
            loaded_through,
            fingerprint,
            case when upstream_name = '(definition)' then {{ storage_of(this) }} else storage end,
            {{ as_of() }},
            clock_timestamp()
        from pg_temp.this_run
        on conflict (model_name, upstream_name) do update
        set
            system_identifier = excluded.system_identifier,
            run_snapshot = excluded.run_snapshot,
            loaded_through = excluded.loaded_through,
            fingerprint = excluded.fingerprint,
            storage = excluded.storage,
            as_of = excluded.as_of,
            advanced_at = excluded.advanced_at
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro read_watermarks(upstreams=[]) -%}
    {#- After remember_watermarks. Asks everything about the last run at once, because most runs find nothing new. -#}
    {%- set previous = {} -%}
    {%- if is_incremental() or model.resource_type == 'snapshot' -%}
        {%- set query -%}
            select
                watermarks.upstream_name,
                watermarks.run_snapshot::text as run_snapshot,
                watermarks.loaded_through::text as loaded_through,
                watermarks.fingerprint,
                watermarks.fingerprint is distinct from this_run.fingerprint as has_other_fingerprint,
                watermarks.as_of > {{ as_of() }} as is_ahead,
                watermarks.system_identifier != {{ system_identifier() }} as is_of_another_server,
                {#- New partitions may be added. -#}
                watermarks.storage <@ this_run.storage as is_of_this_table,
                exists (
                    select
                    from {{ state_relation('key_changes') }} as key_changes
                    where key_changes.model_name = watermarks.upstream_name
                        and {{ is_unseen_xid('key_changes.written_by', 'watermarks.run_snapshot') }}
                        and (
                            key_changes.changed_keys is null
                            {#- Written while the upstream logged other keys. #}
                            {%- for upstream in upstreams if upstream.kind == 'logged' and upstream.columns %}
                            or watermarks.upstream_name = '{{ upstream.name }}'
                            and not key_changes.changed_keys ?& array[{{ quoted_texts(upstream.columns) }}]
                            {%- endfor %}
                        )
                ) as was_rebuilt
            from {{ state_relation('watermarks') }} as watermarks
            left join pg_temp.this_run on watermarks.upstream_name = this_run.upstream_name
            where watermarks.model_name = '{{ state_name(model) }}'
        {%- endset -%}
        {%- for row in run_query(query) -%}
            {%- do previous.update({row['upstream_name']: row}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(previous) }}
{%- endmacro %}


{% macro is_as_of_last_run(also_each=none) -%}
    {#- SQL for: after remember_watermarks with storage, everything is as the last run of this model left or found it. -#}
    (
        select
            count(*) = (select count(*) from pg_temp.this_run)
            and bool_and(
                this_run.system_identifier = watermarks.system_identifier
                and this_run.fingerprint is not distinct from watermarks.fingerprint
                and this_run.storage is not distinct from watermarks.storage
                {%- if also_each %}
                and date_trunc('{{ also_each }}', {{ local_timestamp('watermarks.as_of') }})
                = date_trunc('{{ also_each }}', {{ local_timestamp(as_of()) }})
                {%- endif %}
                and not exists (
                    select
                    from {{ state_relation('key_changes') }} as key_changes
                    where key_changes.model_name = watermarks.upstream_name
                        and {{ is_unseen_xid('key_changes.written_by', 'watermarks.run_snapshot') }}
                )
            )
        from {{ state_relation('watermarks') }} as watermarks
        left join pg_temp.this_run on watermarks.upstream_name = this_run.upstream_name
        where watermarks.model_name = '{{ state_name(model) }}'
    )
{%- endmacro %}


{% macro is_unseen_xid(column, run_snapshot) -%}
    {{ column }} >= pg_snapshot_xmin({{ run_snapshot }})
    and not pg_visible_in_snapshot({{ column }}, {{ run_snapshot }})
{%- endmacro %}


{% macro system_identifier() -%}
    {#- Transaction numbers are valid in their own cluster only, and a dump is restored into another one. -#}
    (select system_identifier::text from pg_control_system())
{%- endmacro %}
