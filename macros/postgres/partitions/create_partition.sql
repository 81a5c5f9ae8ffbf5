{% macro create_partition(relation, partition) -%}
    {#-
        Created separately and then attached, so that rows in the default partition can move first. The name ends with the oid
        of the table, because during a full refresh the partitions of the old and of the new table exist at the same time.
    -#}
    {%- set oid = run_query("select '" ~ relation ~ "'::regclass::oid::text")[0][0] -%}
    {%- set tail = '_' ~ partition.suffix ~ '_' ~ oid -%}
    {%- set child = api.Relation.create(schema=partition_schema(), identifier=index_name(this.identifier, tail)) -%}
    {%- if run_query('select ' ~ regclass_of(child) ~ ' is not null')[0][0] -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': the partition ' ~ child ~ ' cannot be created: a table of this name exists and is not a partition of '
            ~ relation ~ '. If `warehouse retain` detached it, run `warehouse retain --apply` to finish; otherwise attach it again,'
            ~ ' rename it or drop it.'
        ) }}
    {%- endif -%}

    {%- call statement('partition') -%}
        create table {{ child }} (like {{ relation }} including defaults including constraints);
        {% if partition.rows_in %}
        {#- By name: a table that was attached manually may have its columns in another order. -#}
        {%- set columns = adapter.get_columns_in_relation(relation) | map(attribute='quoted') | join(', ') %}
        with moved as (
            delete from {{ partition.rows_in }}
            where {{ partition.condition }}
            returning {{ columns }}
        )
        insert into {{ child }} ({{ columns }}) select {{ columns }} from moved;
        {% endif %}
        alter table {{ relation }} attach partition {{ child }} {{ partition.bounds }}
    {%- endcall -%}
{%- endmacro %}
