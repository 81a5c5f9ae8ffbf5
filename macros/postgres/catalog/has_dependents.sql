{% macro has_dependents(relation) -%}
    {#-
        Whether a plain drop would fail: because of views on it or on a partition, but also functions, foreign keys and
        policies.
    -#}
    {%- set query -%}
        select exists (
            select
            from pg_class
            inner join pg_depend
                on (refclassid = 'pg_class'::regclass and refobjid = pg_class.oid)
                    or (refclassid = 'pg_type'::regclass and refobjid = pg_class.reltype)
            where deptype = 'n'
                and (
                    pg_class.oid = {{ regclass_of(relation) }}
                    or pg_class.oid in (select relid from pg_partition_tree({{ regclass_of(relation) }}))
                )
        )
    {%- endset -%}
    {{ return(run_query(query)[0][0]) }}
{%- endmacro %}
