{% macro upstreams_to_watch() -%}
    {#-
        The relations whose changes are known; none if the query may read something else, or if this run sees only a part of it.
        Then the materialized view is refreshed.
    -#}
    {%- if not execute or flags.EMPTY or is_sample() or should_full_refresh() or flags.WHICH not in ['build', 'run'] -%}
        {{ return(none) }}
    {%- endif -%}
    {%- for unique_id in model.depends_on.nodes -%}
        {%- set node = graph.nodes.get(unique_id) -%}
        {%- if not node or node.resource_type != 'seed' and kind_of_upstream(node) != 'logged' -%}
            {%- do log(model.name ~ ': refreshed, because changes of ' ~ unique_id ~ ' are not logged', info=false) -%}
            {{ return(none) }}
        {%- endif -%}
    {%- endfor -%}
    {%- set upstreams = read_upstreams([], [], [], by_key=false) -%}
    {{ return(none if upstreams | selectattr('is_elsewhere') | list else upstreams) }}
{%- endmacro %}


{% macro state_of_materialized_view(relation, upstreams) -%}
    {%- set queries = state_after_build() -%}
    {%- do queries.update({'last_run': query_of_last_run(relation, upstreams)}) -%}
    {{ return(queries) }}
{%- endmacro %}


{% macro query_of_last_run(relation, upstreams) -%}
    {#- The functions of the query are in the stored rule only as numbers. -#}
    select
        {{ is_as_of_last_run() }}
        and pg_class.relkind = 'm'
        and pg_class.relispopulated
        and {{ fits_contract(relation) }}
        and not exists (
            select
            from pg_depend
            where classid = 'pg_rewrite'::regclass
                and objid = pg_rewrite.oid
                and refclassid = 'pg_class'::regclass
                and refobjid != pg_class.oid
                and refobjid != all(array[
                    {%- for upstream in upstreams %}{{ regclass_of(upstream.relation) }}{{ ', ' if not loop.last }}{% endfor -%}
                ]::oid[])
        )
        and pg_rewrite.ev_action::text !~ 'SQLVALUEFUNCTION|NEXTVALUEEXPR'
        and not exists (
            select
            from regexp_matches(pg_rewrite.ev_action::text, ':(?:op)?func(?:id|oid) ([0-9]+)', 'g') as called (oids)
            inner join pg_proc on called.oids[1]::oid = pg_proc.oid
            where pg_proc.provolatile != 'i'
                and (
                    pg_proc.provolatile = 'v'
                    or pg_proc.pronamespace != 'pg_catalog'::regnamespace
                    or pg_proc.pronargs = 0
                    or pg_proc.proname ~ '^(age|pg_|has_|current_|txid_|to_reg|query_to|table_to|schema_to|database_to|cursor_to)'
                )
        ) as is_current
    from pg_class
    inner join pg_rewrite on pg_class.oid = pg_rewrite.ev_class
    where pg_class.oid = {{ regclass_of(relation) }}
{%- endmacro %}
