{% macro may_record_test() -%}
    {#-
        With --defer, --sample and --empty a test may read other rows than its tables have; some ask nothing in a build of a part.
        What is not a number of rows does not add up.
    -#}
    {{ return(
        execute and flags.WHICH == 'build' and model.resource_type == 'test'
        and not is_deferred() and not flags.EMPTY and not is_sample() and not should_store_failures()
        and model.config.fail_calc == 'count(*)'
        and not asks_nothing(model)
    ) }}
{%- endmacro %}


{% macro remember_tested_tables(nodes, definition, lookups=[]) -%}
    {#- Before the test reads anything: what is committed meanwhile is asked of again the next time. -#}
    {%- set logged = nodes | rejectattr('config.materialized', 'in', ['view', 'seed', 'ephemeral']) | list -%}
    {%- set epochs = {} -%}
    {%- for state in (state_before_test(logged) if logged else []) -%}
        {%- do epochs.update({logged[loop.index0].unique_id: state['epoch']}) -%}
    {%- endfor -%}
    {%- set query -%}
        {#-
            No other run prunes the log before this test says up to where it has read it. The lock is of the session, because dbt runs
            these statements outside of a transaction; it ends with the session, if not before.
        #}
        select pg_advisory_lock_shared(hashtext('{{ state_relation("key_changes") }}'));
        create temporary table if not exists tested_tables (
            upstream_name text primary key,
            system_identifier text not null,
            run_snapshot pg_snapshot not null,
            epoch bigint not null,
            loaded_through timestamptz,
            fingerprint text not null,
            is_whole boolean not null
        );
        {%- for node in nodes %}
        insert into tested_tables
        select
            '{{ state_name(node) }}',
            {{ system_identifier() }},
            pg_current_snapshot(),
            {{ epochs.get(node.unique_id, 0) }},
            {% if is_staged(node) -%}
                {{ newest_load(relation_of_node(node)) }},
                '{{ definition }}' || {{ view_fingerprint_of(relation_of_node(node)) }}
            {%- elif node.config.materialized == 'view' -%}
                null,
                '{{ definition }}' || coalesce({{ view_fingerprint_of(relation_of_node(node)) }}, '')
            {%- elif node.resource_type == 'seed' -%}
                null,
                '{{ definition }}' || {{ fingerprint_of(relation_of_node(node)) }}
            {%- else -%}
                null,
                '{{ definition }}'
            {%- endif %}
            {%- for lookup in lookups %} || {{ fingerprint_of(lookup) }}{% endfor %},
            true
        on conflict (upstream_name) do nothing;
        {%- endfor %}
    {%- endset -%}
    {%- do run_query(query) -%}
{%- endmacro %}


{% macro should_test_whole(nodes) -%}
    {#- Whether more rows than the changed ones may fail, and says why. Marks the tables of which only changes are asked. -#}
    {%- set names = [] -%}
    {%- for node in nodes -%}
        {%- do names.append(state_name(node)) -%}
    {%- endfor -%}
    {%- set query -%}
        select
            bool_or(
                tested_keys.test_name is null
                or not {{ is_recent('tested_keys.passed_whole_at') }}
            ) as is_due,
            bool_or(tested_keys.fingerprint != tested_tables.fingerprint) as is_changed,
            bool_or(tested_keys.system_identifier != tested_tables.system_identifier) as is_of_another_server,
            string_agg(tested_tables.upstream_name, ', ' order by tested_tables.upstream_name) filter (where tested_keys.epoch != tested_tables.epoch) as changed_tables,
            string_agg(tested_tables.upstream_name, ', ' order by tested_tables.upstream_name) filter (
                where exists (
                    select
                    from {{ state_relation('key_changes') }} as key_changes
                    where key_changes.model_name = tested_tables.upstream_name
                        and key_changes.changed_keys is null
                        and {{ is_unseen_xid('key_changes.written_by', 'tested_keys.run_snapshot') }}
                )
            ) as rebuilt_tables,
            {{ has_failed_last(model) }} as has_failed,
            min(tested_keys.passed_whole_at) as passed_whole_at
        from tested_tables
        left join {{ state_relation('tested_keys') }} as tested_keys
            on tested_tables.upstream_name = tested_keys.upstream_name
                and tested_keys.test_name = {{ postgres_escape_comment(model.unique_id) }}
        where tested_tables.upstream_name in ('{{ names | join("', '") }}')
    {%- endset -%}
    {%- set found = run_query(query)[0] -%}
    {%- set unsteady = [] -%}
    {%- for node in nodes if is_staged(node) and combines_rows(node) -%}
        {%- do unsteady.append(node.name) -%}
    {%- endfor -%}
    {%- set reason =
        'this is a full refresh' if flags.FULL_REFRESH
        else 'it has not passed whole within ' ~ var('whole_tests_every') if found['is_due']
        else 'it failed when it was asked last' if found['has_failed']
        else 'it changed' if found['is_changed']
        else unsteady[0] ~ ' combines rows, and may show one without a load of its own' if unsteady
        else 'the database was restored from another server' if found['is_of_another_server']
        else 'another hand changed ' ~ found['changed_tables'] if found['changed_tables']
        else found['rebuilt_tables'] ~ ' was rebuilt' if found['rebuilt_tables']
    -%}
    {%- if reason -%}
        {%- do log(model.name ~ ': asked of everything, because ' ~ reason ~ '.', info=false) -%}
        {{ return(true) }}
    {%- endif -%}
    {%- do run_query("update tested_tables set is_whole = false where upstream_name in ('" ~ names | join("', '") ~ "')") -%}
    {%- do log(model.name ~ ': asked of what changed; it last passed whole on ' ~ found['passed_whole_at'] ~ '.', info=false) -%}
    {{ return(false) }}
{%- endmacro %}


{% macro follows_tables(test) -%}
    {#- Whether the test remembered what it reads. A table that it reads and does not follow would change unseen. -#}
    {%- set is_there = may_record_test() and run_query("select to_regclass('pg_temp.tested_tables') is not null")[0][0] -%}
    {%- if is_there and not test.attached_node -%}
        {%- set followed = run_query('select upstream_name from tested_tables').columns[0].values() -%}
        {%- for unique_id in test.depends_on.nodes -%}
            {%- set node = graph.nodes.get(unique_id) or graph.sources.get(unique_id) -%}
            {%- if state_name(node) not in followed -%}
                {{ exceptions.raise_compiler_error(
                    test.name ~ ' reads ' ~ node.name ~ ', and no keys_to_test of it follows that ' ~ ('source' if unique_id.startswith('source.') else 'table')
                    ~ ': its changes would not be asked of. Follow it, or what it is made of and name it in ignoring; read a source through a staging model.'
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(is_there) }}
{%- endmacro %}


{% macro record_tested_tables() -%}
    {%- call statement('tested_tables', auto_begin=true) -%}
        insert into {{ state_relation('tested_keys') }} as held (
            test_name, upstream_name, system_identifier, run_snapshot, epoch, loaded_through, fingerprint, passed_whole_at
        )
        select
            {{ postgres_escape_comment(model.unique_id) }},
            upstream_name,
            system_identifier,
            run_snapshot,
            epoch,
            loaded_through,
            fingerprint,
            clock_timestamp()
        from tested_tables
        on conflict (test_name, upstream_name) do update set
            system_identifier = excluded.system_identifier,
            run_snapshot = excluded.run_snapshot,
            epoch = excluded.epoch,
            loaded_through = excluded.loaded_through,
            fingerprint = excluded.fingerprint,
            passed_whole_at = case
                when (select is_whole from tested_tables where upstream_name = excluded.upstream_name) then excluded.passed_whole_at
                else held.passed_whole_at
            end
    {%- endcall -%}
    {%- do adapter.commit() -%}
    {%- do run_query('select pg_advisory_unlock_all()') -%}
{%- endmacro %}


{% macro newest_load(relation) -%}
    {#- SQL. A row stamped in the future must not hide later rows; least() skips a null. -#}
    (select case when max(_loaded_at) is not null then least(max(_loaded_at), clock_timestamp()) end from {{ relation }})
{%- endmacro %}


{% macro combines_rows(node) -%}
    {#- Whether a row of a staging view may appear or change without a load of its own. -#}
    {{ return(view_says(node, '\\m(join|distinct(?! from)|group by|limit|union|except|intersect)\\M|\\mover \\(')) }}
{%- endmacro %}
