{% macro record_write(lost_keys, begins_epoch, is_changed_by_others) -%}
    {#-
        Statements for the transaction of a write. If PostgreSQL counted other changes since the last one, the table is another one, or
        all its keys were computed, an epoch begins.
    -#}
    {%- set own_changes = counted_changes(this, of_this_transaction=true) -%}
    {%- set is_as_left = 'known.storage <@ excluded.storage and known.counted_changes = excluded.counted_changes - ' ~ own_changes
        ~ ' and not ' ~ is_changed_by_others -%}
    insert into {{ state_relation('audited_tables') }} as known (model_name, storage, counted_changes, epoch, writes, losses)
    select
        '{{ state_name(model) }}',
        {{ state_of_table(this) }},
        {{ counted_changes(this) }} + {{ own_changes }},
        1, 1, 0
    on conflict (model_name) do update set
        storage = excluded.storage,
        counted_changes = excluded.counted_changes,
        epoch = known.epoch + case when {{ is_as_left if not begins_epoch else 'false' }} then 0 else 1 end,
        writes = known.writes + 1,
        losses = known.losses + {{ lost_keys }} + case when {{ is_as_left }} then 0 else 1 end
{%- endmacro %}


{% macro record_passed_tests(tests) -%}
    {#- The other rows passed if the test held up to the write before. -#}
    {%- set passed = [] -%}
    {%- for test in tests -%}
        {%- do passed.append('(' ~ postgres_escape_comment(test.unique_id) ~ ', ' ~ postgres_escape_comment(fingerprint_of_test(test)) ~ ')') -%}
    {%- endfor -%}
    update {{ state_relation('audited_tests') }} as held
    set writes = tables.writes
    from {{ state_relation('audited_tables') }} as tables
    where tables.model_name = '{{ state_name(model) }}'
        and held.model_name = tables.model_name
        and (held.test_name, held.fingerprint) in ({{ passed | join(', ') }})
        and held.epoch = tables.epoch
        and held.writes = tables.writes - 1
{%- endmacro %}


{% macro is_changed_by_hooks() -%}
    {#- A hook or a trigger changed rows in this transaction; a run itself updates none. -#}
    ((select changes_before from applied_changes) > 0 or {{ counted_changes(this, of_this_transaction=true, kinds=['updated']) }} > 0)
{%- endmacro %}
