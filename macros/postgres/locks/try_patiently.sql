{% macro try_patiently(statements, failure, table=none) -%}
    {#- A short wait and a pause, again and again: whoever comes after one who waits for a lock waits too. -#}
    do $try_patiently$
    declare
        whole_timeout text := current_setting('lock_timeout');
        patience record;
    begin
        select * into patience from (values ({{ lock_patience() }})) as given (lock_timeout, attempts);
        {%- if table %}
        {#- Autovacuum gives way only to one who waits longer than an attempt. #}
        perform set_config('lock_timeout', '{{ var('index_lock_timeout') }}', true);
        lock table {{ table }} in share update exclusive mode;
        {%- endif %}
        for attempt in 1 .. patience.attempts loop
            begin
                perform set_config('lock_timeout', patience.lock_timeout, true);
                execute $patient_statements${{ statements }}$patient_statements$;
                perform set_config('lock_timeout', whole_timeout, true);
                return;
            exception
                when lock_not_available or deadlock_detected then
                    if attempt = patience.attempts then
                        raise;
                    end if;
            end;
            perform pg_sleep(0.5);
        end loop;
    exception
        when lock_not_available or deadlock_detected then
            raise exception '%', {{ postgres_escape_comment(failure ~ ': locked by other sessions; the next run will retry: ') }} || sqlerrm;
    end
    $try_patiently$
{%- endmacro %}


{% macro lock_patiently(relation, failure, then='') -%}
    {{ try_patiently('lock table ' ~ relation ~ ' in access exclusive mode; ' ~ then, failure, table=relation) }}
{%- endmacro %}
