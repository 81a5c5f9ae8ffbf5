{% macro publish_if_good() -%}
    {#-
        One transaction, in which all tables are read as of one moment: what is judged is what is published, whatever other sessions
        commit meanwhile.
    -#}
    {%- set candidates = candidates_of_project() -%}
    {%- if not candidates -%}
        {{ return({'reasons': [], 'is_score_low': false, 'awaits_second_step': false}) }}
    {%- endif -%}
    {#- Two publications at the same time would write the same rows. -#}
    {%- set lock = "hashtext('publish " ~ state_relation('publications') ~ "')" -%}
    {%- do run_query("set lock_timeout = 0; select pg_advisory_lock(" ~ lock ~ "); reset lock_timeout") -%}
    {%- do run_query('begin isolation level repeatable read') -%}
    {%- set refused = reasons_not_to_publish(candidates) -%}
    {%- if refused.reasons -%}
        {%- do run_query('rollback') -%}
    {%- else -%}
        {%- do run_query(statements_of_publication(candidates)) -%}
        {%- do run_query('commit') -%}
    {%- endif -%}
    {%- do run_query('select pg_advisory_unlock(' ~ lock ~ ')') -%}
    {%- if not refused.reasons -%}
        {%- do drop_former_tables(candidates[0].schema) -%}
    {%- endif -%}
    {{ return(refused) }}
{%- endmacro %}


{% macro not_published(refused) -%}
    {{ return(
        'Not published, and ' ~ generate_schema_name('reporting', none) ~ ' shows what it showed before: ' ~ refused.reasons | join('; ') ~ '.'
    ) }}
{%- endmacro %}


{% macro candidates_of_project() -%}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- set candidates = [] -%}
    {%- for unique_id in nodes if unique_id.startswith('model.') and nodes[unique_id].fqn[1] == 'published' -%}
        {%- do candidates.append(graph.nodes[unique_id]) -%}
    {%- endfor -%}
    {{ return(candidates) }}
{%- endmacro %}


{% macro drop_former_tables(schema) -%}
    {#- A table whose columns changed, once no view reads it any more. -#}
    {%- set query -%}
        select pg_class.relname
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where pg_namespace.nspname = {{ quoted_texts([schema]) }}
            and pg_class.relname = '{{ name_before('') }}' || pg_class.oid
            and not exists (
                select from pg_depend
                where refobjid = pg_class.oid and refclassid = 'pg_class'::regclass and classid = 'pg_rewrite'::regclass
            )
    {%- endset -%}
    {%- for row in run_query(query) -%}
        {#- One that is read is dropped after the next publication. -#}
        {%- set statement -%}
            do $drop$
            begin
                perform set_config('lock_timeout', '1s', true);
                drop table {{ api.Relation.create(schema=schema, identifier=row['relname']) }};
            exception when lock_not_available then
                raise log 'A published table from before a change of its columns is read, and is dropped later.';
            end
            $drop$
        {%- endset -%}
        {%- do run_query(statement) -%}
    {%- endfor -%}
{%- endmacro %}
