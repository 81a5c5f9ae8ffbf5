{% macro remember_watermarks(upstreams) -%}
    {#-
        Taken before anything is read: what is committed in between is read now and again by the next run,
        which is harmless; taken afterwards it would be lost.
    -#}
    {%- set query -%}
        create temporary table this_run as
        select
            upstream_name,
            {{ system_identifier() }} as system_identifier,
            pg_current_snapshot() as run_snapshot,
            loaded_through,
            fingerprint
        from (
            select
                '(definition)' as upstream_name,
                null::timestamptz as loaded_through,
                '{{ definition_fingerprint() }}' as fingerprint
            {%- for upstream in upstreams if not upstream.is_elsewhere %}
            union all
            select
                '{{ upstream.name }}' as upstream_name,
                {% if upstream.kind == 'loaded' -%}
                    {#- A row stamped in the future must not hide those that come before it; least() skips a null. -#}
                    (
                        select case when max(_loaded_at) is not null then least(max(_loaded_at), clock_timestamp()) end
                        from {{ upstream.relation }}
                    )
                {%- else -%}
                    null::timestamptz
                {%- endif %} as loaded_through,
                {% if upstream.kind == 'lookup' -%}
                    '{{ fingerprint_of(upstream.relation) }}'
                {%- else -%}
                    null::text
                {%- endif %} as fingerprint
            {%- endfor %}
        ) as upstreams
    {%- endset -%}
    {%- do run_query(query) -%}
{%- endmacro %}


{% macro advance_watermarks() -%}
    {#-
        A post-hook inside the model's transaction: the watermarks and the table move together or not at all.
        A table that was made anew is marked for its readers; made on empty inputs, it has read nothing itself.
    -#}
    {%- if execute -%}
        {%- set found = run_query(
            "select to_regclass('pg_temp.this_run') is not null, to_regclass('pg_temp.applied_changes') is null"
        )[0] -%}
        {%- set has_watermarks, is_new_table = found[0], found[1] -%}
        {%- if is_new_table %}
        insert into {{ state_relation('key_changes') }} (model_name, written_by, changed_keys)
        values ('{{ model.name }}', pg_current_xact_id(), null);
        {%- endif %}
        {%- if is_new_table and flags.EMPTY %}
        delete from {{ state_relation('watermarks') }} where model_name = '{{ model.name }}'
        {%- elif has_watermarks %}
        insert into {{ state_relation('watermarks') }} (
            model_name,
            upstream_name,
            system_identifier,
            run_snapshot,
            loaded_through,
            fingerprint,
            as_of,
            advanced_at
        )
        select
            '{{ model.name }}',
            upstream_name,
            system_identifier,
            run_snapshot,
            loaded_through,
            fingerprint,
            {{ as_of() }},
            clock_timestamp()
        from pg_temp.this_run
        on conflict (model_name, upstream_name) do update
        set
            system_identifier = excluded.system_identifier,
            run_snapshot = excluded.run_snapshot,
            loaded_through = excluded.loaded_through,
            fingerprint = excluded.fingerprint,
            as_of = excluded.as_of,
            advanced_at = excluded.advanced_at
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro lock_model(function='pg_advisory_xact_lock') -%}
    {#- Two builds of one model at once would both insert the same rows; the second waits until the first has committed. -#}
    select
        {{ function }}_shared(hashtext('{{ state_relation("key_changes") }}')),
        {{ function }}(hashtext('{{ this }}'))
{%- endmacro %}


{% macro system_identifier() -%}
    {#- Transaction numbers mean something in the cluster that gave them, and a dump is restored into another. -#}
    (select system_identifier::text from pg_control_system())
{%- endmacro %}
