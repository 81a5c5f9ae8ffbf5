{% macro may_record_results() -%}
    {#- Of runs whose tables have all their rows, in this target. Another role may test without the right to write results. -#}
    {%- if flags.WHICH not in ['build', 'run', 'seed', 'snapshot', 'test'] or flags.EMPTY or is_deferred() or is_sample() -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set names = ['runs', 'run_results', 'quality_scores', 'publications', 'source_volumes', 'watermarks'] -%}
    {%- set query -%}
        select count(*) = {{ names | length }} and bool_and(has_schema_privilege(pg_namespace.oid, 'usage') and has_table_privilege(pg_class.oid, 'insert')
                and (pg_class.relname in ('run_results', 'publications') or has_table_privilege(pg_class.oid, 'update') and has_table_privilege(pg_class.oid, 'delete')))
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where pg_namespace.nspname = {{ quoted_texts([state_relation('runs').schema]) }} and pg_class.relname in ({{ quoted_texts(names) }})
    {%- endset -%}
    {%- if not run_query(query)[0][0] -%}
        {%- do log('The results of this run are not recorded, because the role ' ~ target.user ~ ' may not write them.', info=true) -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(true) }}
{%- endmacro %}
