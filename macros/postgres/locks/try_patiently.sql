{% macro try_patiently(statements, failure, relation, harmless_modes='{}') -%}
    {{ create_lock_out_maintenance() }}
    {{ create_try_for_locks() }}
    do $try_patiently$
    declare
        trouble text := (pg_temp.try_for_locks(
            format('select pg_temp.run_statements(%L)', $patient_statements${{ statements }}$patient_statements$),
            array[{{ regclass_of(relation) }}],
            '{{ harmless_modes }}'
        )).trouble;
    begin
        if trouble is not null then
            raise exception '%', {{ postgres_escape_comment(failure ~ ': locked by other sessions; the next run will retry: ') }} || trouble;
        end if;
    end
    $try_patiently$
{%- endmacro %}


{% macro lock_patiently(relation, failure, then='') -%}
    {{ try_patiently('lock table ' ~ relation ~ ' in access exclusive mode; ' ~ then, failure, relation) }}
{%- endmacro %}
