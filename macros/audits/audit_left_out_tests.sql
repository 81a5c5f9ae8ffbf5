{% macro audit_left_out_tests() -%}
    {#- Returns the statements that record what passed. Of the rest, `warehouse build` asks everything at its end. -#}
    {%- set tests = tests_left_to_model() if execute else [] -%}
    {%- set asked, statements = [], [] -%}
    {%- if tests and is_staged(model) and not combines_rows(model) -%}
        {%- set marks = marks_of_loads(tests) -%}
        {%- for test in tests if test.unique_id in marks -%}
            {%- do asked.append(test) -%}
        {%- endfor -%}
        {%- if asked -%}
            {%- do keep_loaded_rows(marks.values()) -%}
            {%- set passed = passed_tests(asked, 'loaded_rows') -%}
            {%- do statements.extend([advance_marks(passed, marks.values() | first), record_asked_tests(passed)]) -%}
        {%- endif -%}
    {%- elif tests -%}
        {%- set guaranteed = [] -%}
        {%- for test in tests -%}
            {%- do (guaranteed if logs_changed_keys(model) and guarantee_of(test) else asked).append(test) -%}
        {%- endfor -%}
        {%- do statements.append(record_asked_tests(guaranteed + (passed_tests(asked, this) if asked else []))) -%}
    {%- endif -%}
    {{ return(statements) }}
{%- endmacro %}
