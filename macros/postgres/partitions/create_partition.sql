{% macro create_partition(relation, partition) -%}
    {#-
        Made on its own and then attached, so that rows which the default partition had to take can move first. The name
        ends with the oid of the table, because during a full refresh the partitions of the old table and of the new one
        live side by side.
    -#}
    {%- set oid = run_query("select '" ~ relation ~ "'::regclass::oid::text")[0][0] -%}
    {%- set tail = '_' ~ partition.suffix ~ '_' ~ oid -%}
    {%- set child = api.Relation.create(schema=partition_schema(), identifier=index_name(this.identifier, tail)) -%}
    {%- if run_query('select ' ~ regclass_of(child) ~ ' is not null')[0][0] -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': the partition ' ~ child ~ ' cannot be made, because there is a table of this name that is no partition of '
            ~ relation ~ '. When `warehouse retain` began to take it away, `warehouse retain --apply` goes on with it; else attach it again,'
            ~ ' rename it or drop it.'
        ) }}
    {%- endif -%}

    {%- call statement('partition') -%}
        create table {{ child }} (like {{ relation }} including defaults including constraints);
        {% if partition.rows_in %}
        {#- By name: who attaches a table by hand may have its columns in another order. -#}
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
