{% macro marks_of_loads(tests) -%}
    {#- By unique id, the tests that passed up to a load and have not changed since; with the next mark, read before the rows are. -#}
    {%- set known = [] -%}
    {%- for test in tests -%}
        {%- set seed = seed_of_reference(test) -%}
        {%- do known.append(
            '(' ~ postgres_escape_comment(test.unique_id) ~ ", '" ~ fingerprint_of_test(test) ~ "', "
            ~ (fingerprint_of(seed) if seed else "''") ~ ')'
        ) -%}
    {%- endfor -%}
    {%- set query -%}
        with known (test_name, definition, lookups) as (
            values {{ known | join(', ') }}
        ),

        this_view as materialized (
            select
                {{ view_fingerprint_of(this) }} as fingerprint,
                pg_current_snapshot()::text as run_snapshot,
                {{ newest_load(this) }}::text as loaded_through
        )

        select
            held.test_name,
            held.run_snapshot::text as run_snapshot,
            held.loaded_through::text as loaded_through,
            this_view.run_snapshot as next_snapshot,
            this_view.loaded_through as next_loaded_through
        from {{ state_relation('tested_keys') }} as held
        inner join known on held.test_name = known.test_name
        cross join this_view
        where held.upstream_name = '{{ state_name(model) }}'
            and held.fingerprint = known.definition || this_view.fingerprint || known.lookups
            and held.system_identifier = {{ system_identifier() }}
            and {{ is_recent('held.passed_whole_at') }}
    {%- endset -%}
    {%- set marks = {} -%}
    {%- for row in run_query(query) -%}
        {%- do marks.update({row['test_name']: row}) -%}
    {%- endfor -%}
    {{ return(marks) }}
{%- endmacro %}


{% macro keep_loaded_rows(marks) -%}
    {#- Since the oldest of the marks; they are alike after the first such build. The models take no row without a stamp. -#}
    {%- set conditions = ['_loaded_at is null'] -%}
    {%- for mark in marks -%}
        {%- do conditions.append('(' ~ is_unseen_load(mark, '_row_xid') ~ ')') -%}
    {%- endfor -%}
    {%- do run_query(
        'create temporary table loaded_rows as select * from ' ~ this ~ ' where '
        ~ conditions | unique | join(' or ')
    ) -%}
{%- endmacro %}


{% macro advance_marks(tests, mark) -%}
    drop table pg_temp.loaded_rows;
    update {{ state_relation('tested_keys') }}
    set
        run_snapshot = '{{ mark['next_snapshot'] }}',
        loaded_through = {{ "'" ~ mark['next_loaded_through'] ~ "'" if mark['next_loaded_through'] else 'null' }}
    where test_name in ({{ quoted_texts(tests | map(attribute='unique_id')) or 'null' }})
        and upstream_name = '{{ state_name(model) }}'
{%- endmacro %}
