{% macro analyze_changed() -%}
    {#-
        A post-hook outside of the transaction. Autovacuum comes when a tenth has changed, but a minute later, when the models
        that read this one have been planned; and never to the parent of partitions.
    -#}
    {%- if execute and config.get('materialized') in ['table', 'incremental', 'materialized_view'] -%}
        {%- do run_query('select pg_stat_force_next_flush()') -%}
        {%- for row in run_query(relations_to_analyze(this)) -%}
            {%- do run_query('analyze ' ~ row['how'] ~ row['name']) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro relations_to_analyze(relation) -%}
    {#- Those never analysed, those of which more than half changed since, and parents whose count is off by a tenth. -#}
    with

    tree as (
        select
            pg_class.oid,
            pg_class.relkind,
            pg_class.reltuples,
            pg_stat_get_mod_since_analyze(pg_class.oid) as changes
        from pg_class
        where pg_class.oid = to_regclass('{{ relation }}')
            or pg_class.oid in (select inhrelid from pg_inherits where inhparent = to_regclass('{{ relation }}'))
    ),

    leaves as (
        select * from tree
        where relkind != 'p'
    )

    select
        leaves.oid::regclass::text as name,
        '' as how
    from leaves
    where leaves.reltuples < 0 and pg_relation_size(leaves.oid) > 0 or leaves.changes > 0.5 * greatest(leaves.reltuples, 0)
    union all
    select
        parents.oid::regclass::text as name,
        case when current_setting('server_version_num')::int >= 180000 then 'only ' else '' end as how
    from tree as parents
    where parents.relkind = 'p'
        and abs((select sum(greatest(leaves.reltuples, 0) + leaves.changes) from leaves) - parents.reltuples) > 0.1 * greatest(parents.reltuples, 0)
    order by how, name
{%- endmacro %}
