{% macro backfill_snapshot(snapshot, history, valid_from='valid_from') -%}
    {%- if execute -%}
    {%- set node = snapshot_of_name(snapshot) -%}
    {%- set target_relation = relation_of_name(node.relation_name, 'run dbt build first') -%}
    {%- set history_relation = relation_of_name(history, 'history takes a table or view, such as staging.user_history') -%}
    {%- set states = states_of_history(node, target_relation, history_relation, valid_from) -%}
    {%- set columns = states.columns | join(', ') -%}

    {%- call statement('states') -%}
        {#-
            dbt assumes that an operation's connection is in a transaction, and it is not. This is the lock of lock_model:
            `this` is relation_name.
        -#}
        begin;

        select pg_advisory_xact_lock(hashtext('{{ node.relation_name }}'));

        create temporary table kept_states on commit drop as
        {{ states.sql }}
    {%- endcall -%}
    {%- do check_kept_states(node.config.unique_key, history, valid_from) -%}

    {%- call statement('replace') -%}
        delete from {{ target_relation }}
        where dbt_scd_id like 'kept\_%'
            and {{ node.config.unique_key }} in (select {{ node.config.unique_key }} from kept_states);

        insert into {{ target_relation }} ({{ columns }})
        select {{ columns }}
        from kept_states
        where dbt_valid_from < seen_from;

        {#-
            The rows are dated in the past, which readers do not check; without a watermark each reader compares all keys. So
            does the snapshot, for keys whose last state was imported.
        -#}
        delete from {{ state_relation('watermarks') }} where '{{ node.name }}' in (upstream_name, model_name);
    {%- endcall -%}
    {%- set counts = run_query(
        'select count(*) filter (where dbt_valid_from < seen_from), count(*) filter (where dbt_valid_from >= seen_from) from kept_states'
    )[0] -%}
    {%- do run_query('commit') -%}
    {%- do log(
        node.name ~ ': ' ~ counts[0] ~ ' states from ' ~ history ~ '; skipped ' ~ counts[1]
        ~ ' that begin after the warehouse first saw their ' ~ node.config.unique_key ~ '.',
        info=true
    ) -%}
    {%- endif -%}
{%- endmacro %}
