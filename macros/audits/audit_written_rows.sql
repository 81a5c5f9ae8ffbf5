{% macro audit_written_rows() -%}
    {#-
        Returns the statements that record the write. A test that fails rolls the write back, and the readers keep what they had.
    -#}
    {%- set statements = [] -%}
    {%- if execute and config.get('materialized') == 'incremental' and config.get('incremental_strategy') == 'changed_keys' and not is_left_alone() and not flags.EMPTY -%}
        {%- set found = run_query(
            "select to_regclass('pg_temp.applied_changes') is not null as is_incremental, to_regclass('pg_temp.written_rows') is not null as has_rows, "
            ~ counted_changes(this, of_this_transaction=true, kinds=['inserted']) ~ ' as inserted_rows'
        )[0] -%}
        {%- if found['is_incremental'] -%}
            {#- The last statement of the strategy writes the log, whose rows dbt would take for those of the table. -#}
            {%- do store_raw_result(
                name='main', message='INSERT 0 ' ~ found['inserted_rows'], code='INSERT', rows_affected=found['inserted_rows'] | string
            ) -%}
        {%- endif -%}
        {%- do statements.append(record_write(
            "coalesce((select lost_keys from applied_changes), 0)" if found['is_incremental'] else '1',
            computes_all_keys(),
            is_changed_by_hooks() if found['is_incremental'] else 'false'
        )) -%}
        {%- if found['has_rows'] -%}
            {%- set passed = passed_tests(tests_of_run(), 'written_rows') -%}
            {%- if passed -%}
                {%- do statements.append(record_passed_tests(passed)) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(statements) }}
{%- endmacro %}
