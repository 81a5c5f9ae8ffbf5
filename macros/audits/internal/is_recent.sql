{% macro has_failed_last(test) -%}
    {#- SQL: whichever command asked the test last found rows that fail, so that all rows are asked until it passes. -#}
    coalesce((
        select results.status != 'pass'
        from {{ state_relation('run_results') }} as results
        where results.node_id = {{ postgres_escape_comment(test.unique_id) }}
            and results.status in ('pass', 'warn', 'fail', 'error') and results.finished_at <= clock_timestamp()
        order by results.finished_at desc
        limit 1
    ), false)
{%- endmacro %}


{% macro is_recent(passed_whole_at) -%}
    {#- SQL: a test need not be asked of everything again. The clock may have gone back. -#}
    (
        {{ passed_whole_at }} > clock_timestamp() - interval '{{ var("whole_tests_every") }}'
        and {{ passed_whole_at }} <= clock_timestamp()
    )
{%- endmacro %}
