{% macro remember_watermarks(upstreams, definition, own_columns, recompute_when) -%}
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
            recompute_when
        from (
            select
                '(definition)' as upstream_name,
                null::timestamptz as loaded_through,
                '{{ definition }}' as fingerprint,
                {{ storage_of(this) }} as storage,
                array[{{ quoted_texts(own_columns) }}]::text[] as own_columns,
                {{ quoted_texts([recompute_when]) if recompute_when else 'null' }}::text as recompute_when
            {%- for upstream in upstreams if not upstream.is_elsewhere %}
            union all
            select
                '{{ upstream.name }}' as upstream_name,
                {% if upstream.kind == 'loaded' -%}
                    {#- A row stamped in the future must not hide later rows; least() skips a null. -#}
                    (
                        select case when max({{ load_time_of(upstream) }}) is not null then least(max({{ load_time_of(upstream) }}), clock_timestamp()) end
                        from {{ upstream.relation }}
                    )
                {%- else -%}
                    null::timestamptz
                {%- endif %} as loaded_through,
                {% if upstream.kind == 'lookup' -%}
                    '{{ fingerprint_of(upstream.relation) }}'
                {%- elif upstream.kind == 'loaded' and not upstream.is_query -%}
                    {{ view_fingerprint_of(upstream.relation) }}
                {%- else -%}
                    null::text
                {%- endif %} as fingerprint,
                null::text[] as storage,
                null::text[] as own_columns,
                null::text as recompute_when
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
        {%- set found = run_query(
            "select to_regclass('pg_temp.this_run') is not null, to_regclass('pg_temp.applied_changes') is null"
        )[0] -%}
        {%- set has_watermarks, is_new_table = found[0], found[1] -%}
        {%- if is_new_table %}
        {%- if model.resource_type == 'model' -%}
            {%- do check_own_columns(has_watermarks) -%}
            {%- do check_contract_types() -%}
        {%- endif %}
        insert into {{ state_relation('key_changes') }} (model_name, written_by, changed_keys)
        values ('{{ name }}', pg_current_xact_id(), null);
        {%- elif has_watermarks %}
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
            case when upstream_name = '(definition)' then {{ storage_of(this) }} end,
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


{% macro read_watermarks(upstreams) -%}
    {%- set previous = {} -%}
    {%- if is_incremental() or model.resource_type == 'snapshot' -%}
        {%- set query -%}
            select
                upstream_name,
                run_snapshot::text as run_snapshot,
                loaded_through::text as loaded_through,
                fingerprint,
                as_of > {{ as_of() }} as is_ahead,
                system_identifier != {{ system_identifier() }} as is_of_another_server,
                {#- New partitions may be added. -#}
                storage <@ {{ storage_of(this) }} as is_of_this_table
            from {{ state_relation('watermarks') }}
            where model_name = '{{ state_name(model) }}'
        {%- endset -%}
        {%- for row in run_query(query) -%}
            {%- do previous.update({row['upstream_name']: row}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(previous) }}
{%- endmacro %}


{% macro was_rebuilt(upstream, watermark) -%}
    {%- set query -%}
        select 1
        from {{ state_relation('key_changes') }}
        where model_name = '{{ upstream.name }}'
            and changed_keys is null
            and {{ is_unseen_xid('written_by', watermark) }}
        limit 1
    {%- endset -%}
    {{ return(run_query(query) | length > 0) }}
{%- endmacro %}


{% macro is_unseen_xid(column, watermark) -%}
    {{ column }} >= pg_snapshot_xmin('{{ watermark["run_snapshot"] }}')
    and not pg_visible_in_snapshot({{ column }}, '{{ watermark["run_snapshot"] }}')
{%- endmacro %}


{% macro system_identifier() -%}
    {#- Transaction numbers are valid in their own cluster only, and a dump is restored into another one. -#}
    (select system_identifier::text from pg_control_system())
{%- endmacro %}
