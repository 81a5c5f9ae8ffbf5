{% macro prune_changed_keys() -%}
    {%- if execute and flags.WHICH in ['build', 'run'] and not flags.EMPTY -%}
    {%- set watermarks = state_relation('watermarks') -%}
    {%- set models = [] -%}
    {%- for unique_id in graph.nodes if unique_id.split('.')[0] in ['model', 'snapshot'] -%}
        {%- do models.append(state_name({'unique_id': unique_id})) -%}
    {%- endfor -%}
    {%- set tested_keys = state_relation('tested_keys') -%}
    {#- Only before_run creates the table; a project may call other hooks. -#}
    {%- set has_tests = load_relation(tested_keys) is not none %}
    {%- if has_tests %}
    {#- A test that passed whole too long ago is asked of everything, and needs no keys. #}
    delete from {{ tested_keys }} where passed_whole_at <= clock_timestamp() - interval '{{ var("whole_tests_every") }}';
    {%- endif %}

    {#- A model that was removed from the project reads no more. Keys that every reader has seen are not needed. -#}
    delete from {{ watermarks }} where model_name not in ('{{ models | join("', '") }}');

    {#-
        Only while no model is written: a model that another run is building for the first time has read its upstreams, and its
        watermarks are not visible yet. The next run prunes as well.
    -#}
    do $prune$
    begin
        if pg_try_advisory_xact_lock(hashtext('{{ state_relation("key_changes") }}')) then
            delete from {{ state_relation('key_changes') }} as key_changes
            where not exists (
                select 1
                from {{ watermarks }} as watermarks
                where watermarks.upstream_name = key_changes.model_name
                    and not pg_visible_in_snapshot(key_changes.written_by, watermarks.run_snapshot)
            )
            {%- if has_tests %}
            and not exists (
                select 1
                from {{ tested_keys }} as tested_keys
                where tested_keys.upstream_name = key_changes.model_name
                    and pg_visible_in_snapshot(key_changes.written_by, tested_keys.run_snapshot) is false
            )
            {%- endif %};
        end if;
    end
    $prune$
    {%- endif -%}
{%- endmacro %}
