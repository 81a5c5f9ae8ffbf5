{% macro repartition(relation) -%}
    {%- do log(this.identifier ~ ': partition_by changed; rewriting the table.', info=true) -%}
    {%- set new_relation = make_intermediate_relation(relation.incorporate(type='table')) -%}
    {%- set old_relation = make_backup_relation(relation, 'table') -%}
    {%- set partition_by = read_partition_by() -%}

    {%- call statement('repartition') -%}
        {{ lock_model() }};
        drop table if exists {{ new_relation }};
        lock table {{ relation }} in share row exclusive mode;

        create table {{ new_relation }}
        {%- if config.get('contract').enforced %}
            {{ get_table_columns_and_constraints() }}
        {%- else %}
            (like {{ relation }} including defaults including constraints including generated)
        {%- endif %}
        {%- if partition_by %} partition by {{ partition_by.method }} ({{ partition_by.quoted_fields | join(', ') }}){% endif %}
    {%- endcall -%}
    {%- set changes = check_for_schema_changes(new_relation, relation) -%}
    {%- if changes.schema_changed -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': partition_by and the columns changed in the same build. Change one, build, then change the other; or build'
            ~ ' with --full-refresh. New columns: ' ~ (changes.source_not_in_target | map(attribute='name') | join(', ') or 'none')
            ~ '; removed columns: ' ~ (changes.target_not_in_source | map(attribute='name') | join(', ') or 'none')
            ~ '; changed types: ' ~ (changes.new_target_types | map(attribute='column_name') | join(', ') or 'none') ~ '.'
        ) }}
    {%- endif -%}
    {%- if partition_by -%}
        {%- do create_missing_partitions(new_relation, relation) -%}
    {%- endif -%}
    {%- call statement('copy') -%}
        {%- set columns = changes.target_columns | map(attribute='quoted') | join(', ') %}
        {#- A forced policy that hides rows from this role stops the copy. #}
        set local row_security = off;
        insert into {{ new_relation }} ({{ columns }}) select {{ columns }} from {{ relation }};
        set local row_security to default
    {%- endcall -%}
    {%- do create_indexes(new_relation) -%}
    {%- do run_query('analyze ' ~ new_relation) -%}
    {%- do prepare_successor(relation, new_relation) -%}

    {#-
        The swap commits at once, because its lock blocks readers, and inserting the rows of the build may take long. The
        session keeps the locks of the model, so that no other build starts in between.
    -#}
    {%- do run_query(lock_patiently(relation, 'the partitions of ' ~ relation ~ ' could not be changed')) -%}
    {%- do run_query(lock_model('pg_advisory_lock')) -%}
    {%- do adapter.rename_relation(relation, old_relation) -%}
    {%- do adapter.rename_relation(new_relation, relation) -%}
    {%- do adapter.drop_relation(old_relation) -%}
    {%- do run_query('commit') -%}
    {%- do run_query('begin') -%}
    {%- do run_query(lock_model()) -%}
    {%- do run_query(use_utc()) -%}
    {%- do run_query(lock_model('pg_advisory_unlock')) -%}
{%- endmacro %}
