{% macro prune_results() -%}
    {#- A reader that holds a partition is not waited for: the next run drops it. -#}
    {%- set oldest = "now() - interval '" ~ var('run_results_retention') ~ "'" %}
    delete from {{ state_relation('runs') }} where finished_at < {{ oldest }};
    delete from {{ state_relation('quality_scores') }} where scored_at < {{ oldest }};
    delete from {{ state_relation('source_volumes') }} where measured_at < {{ oldest }};
    do $prune_results$
    declare
        expired text;
    begin
        perform set_config('lock_timeout', '1s', true);
        for expired in
            select partition::text
            from {{ state_relation('partition_bounds') }}
            where parent = '{{ state_relation('run_results') }}'::regclass
                and pg_has_role((select relowner from pg_class where oid = parent), 'usage')
                and upper_bound::timestamptz < {{ oldest }}
        loop
            execute 'drop table ' || expired;
        end loop;
    exception when lock_not_available then
        raise log 'Old results of runs are dropped by the next run, because they are read.';
    end
    $prune_results$;
{%- endmacro %}
