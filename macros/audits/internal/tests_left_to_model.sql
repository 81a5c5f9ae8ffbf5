{% macro tests_left_to_model() -%}
    {#- Those of its tests that `warehouse build` left out and that audit_written_rows does not ask. -#}
    {%- set tests = [] -%}
    {%- set left_out = tests_of_model() | reject('in', selected_resources) | list if leaves_tests_out() else [] -%}
    {%- set computes_all = left_out and logs_changed_keys(model) and computes_all_keys() -%}
    {%- for unique_id in left_out -%}
        {%- set test = graph.nodes[unique_id] -%}
        {%- set is_asked_here = follows_loads(test) if is_staged(model) else reads_own_table(test) and (
            not logs_changed_keys(model) or computes_all or is_left_to_its_index(test)
        ) -%}
        {%- if is_asked_here -%}
            {%- do tests.append(test) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(tests) }}
{%- endmacro %}


{% macro reads_own_table(test) -%}
    {{ return('to' not in test.test_metadata.kwargs and has_usual_query(test)) }}
{%- endmacro %}


{% macro is_left_to_its_index(test) -%}
    {{ return(
        test.test_metadata.name in ['unique', 'unique_combination_of_columns'] and (not is_audited(test) or guarantee_of(test) is not none)
    ) }}
{%- endmacro %}


{% macro record_asked_tests(tests) -%}
    insert into {{ state_relation('asked_tests') }} as held (test_name, invocation_id)
    select unnest(array[{{ quoted_texts(tests | map(attribute='unique_id')) }}]::text[]), '{{ invocation_id }}'
    on conflict (test_name) do update set invocation_id = excluded.invocation_id
{%- endmacro %}
