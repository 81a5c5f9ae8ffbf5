{% macro add_missing_partitions(relation, rows_relation) -%}
    {#-
        For a table that has readers: in a transaction of its own, before the rows are inserted. A reader that planned its query
        before a partition was attached does not see the partition or its rows; missing an empty one is harmless. The session
        keeps the locks of the model, so that no other build starts in between.
    -#}
    {%- set missing = missing_partitions(relation, rows_relation) -%}
    {%- set surplus = none if read_partition_by().default_partition else default_partition_of(relation) -%}
    {%- if surplus and not missing and run_query('select exists (select from ' ~ surplus ~ ')')[0][0] -%}
        {#- It keeps its rows; warn_of_default_partition reports them. -#}
        {%- set surplus = none -%}
    {%- endif -%}
    {%- if missing or surplus -%}
        {%- do run_query(lock_model('pg_advisory_lock')) -%}
        {%- do run_query('commit') -%}
        {%- do run_query('begin') -%}
        {%- do run_query(lock_patiently(
            relation, 'partitions of ' ~ relation ~ ' could not be created', lock_referenced_tables(relation)
        )) -%}
        {%- for partition in missing -%}
            {%- do create_partition(relation, partition) -%}
        {%- endfor -%}
        {%- if surplus and not run_query('select exists (select from ' ~ surplus ~ ')')[0][0] -%}
            {%- do run_query('drop table ' ~ surplus) -%}
        {%- endif -%}
        {%- do run_query('commit') -%}
        {%- do run_query('begin') -%}
        {%- do run_query(lock_model()) -%}
        {%- do run_query(use_utc()) -%}
        {%- do run_query(lock_model('pg_advisory_unlock')) -%}
    {%- endif -%}
{%- endmacro %}
