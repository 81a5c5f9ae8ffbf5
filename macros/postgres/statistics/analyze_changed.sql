{% macro analyze_changed(rows=none) -%}
    {#-
        Runs outside the transaction. Autovacuum starts when a tenth has changed, but up to a minute later, after downstream
        models have been planned; and it never analyzes the parent of partitions.
    -#}
    {%- if execute and has_statistics() -%}
        {%- if rows is none -%}
            {%- do run_query(flush_statistics()) -%}
            {%- set rows = read_together({'relations': relations_to_analyze(this)}).relations -%}
        {%- endif -%}
        {%- for row in rows -%}
            {%- do run_query('analyze ' ~ row['how'] ~ row['name']) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro has_statistics() -%}
    {{ return(config.get('materialized') in ['table', 'incremental', 'materialized_view']) }}
{%- endmacro %}


{% macro flush_statistics() -%}
    {#- The counts of a transaction become visible when it ends, if it asks for it. -#}
    select pg_stat_force_next_flush()
{%- endmacro %}


{% macro relations_to_analyze(relation) -%}
    {#-
        Relations that were never analyzed, those of which more than half changed since, and parents whose count is off by a
        tenth, or whose partitions that were analyzed after them hold a tenth of the rows. Before PostgreSQL 18 an analyze of a
        parent analyzes its partitions right after it, so for an hour only autovacuum's work counts there.
    -#}
    {%- set before_18 = "current_setting('server_version_num')::int < 180000" -%}
    with

    tree as (
        select
            pg_class.oid,
            pg_class.relkind,
            pg_class.reltuples,
            pg_stat_get_mod_since_analyze(pg_class.oid) as changes,
            coalesce(pg_stat_get_last_analyze_time(pg_class.oid), '-infinity') as analyzed_at,
            coalesce(pg_stat_get_last_autoanalyze_time(pg_class.oid), '-infinity') as autoanalyzed_at
        from pg_class
        where pg_class.oid = to_regclass('{{ relation }}')
            or pg_class.oid in (select inhrelid from pg_inherits where inhparent = to_regclass('{{ relation }}'))
    ),

    leaves as (
        select
            *,
            greatest(reltuples, 0) + changes as row_count,
            reltuples < 0 and pg_relation_size(oid) > 0 or changes > 0.5 * greatest(reltuples, 0) as is_due
        from tree
        where relkind != 'p'
    )

    select
        leaves.oid::regclass::text as name,
        '' as how
    from leaves
    where leaves.is_due
    union all
    select
        parents.oid::regclass::text as name,
        case when {{ before_18 }} then '' else 'only ' end as how
    from tree as parents
    where parents.relkind = 'p'
        and (
            abs((select sum(leaves.row_count) from leaves) - parents.reltuples) > 0.1 * greatest(parents.reltuples, 0)
            or (
                select sum(leaves.row_count)
                from leaves
                where leaves.is_due
                    or leaves.autoanalyzed_at > parents.analyzed_at
                    or leaves.analyzed_at > parents.analyzed_at + case when {{ before_18 }} then interval '1 hour' else interval '0' end
            ) > 0.1 * (select sum(leaves.row_count) from leaves)
        )
    order by how, name
{%- endmacro %}
