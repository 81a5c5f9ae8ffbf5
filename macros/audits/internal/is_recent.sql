{% macro is_recent(passed_whole_at) -%}
    {#- SQL: a test need not be asked of everything again. The clock may have gone back. -#}
    (
        {{ passed_whole_at }} > clock_timestamp() - interval '{{ var("whole_tests_every") }}'
        and {{ passed_whole_at }} <= clock_timestamp()
    )
{%- endmacro %}
