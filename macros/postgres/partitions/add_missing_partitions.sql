{% macro add_missing_partitions(relation, rows_relation) -%}
    {#-
        For a table that has readers: in a transaction of its own, before the rows come. PostgreSQL lets a reader who has
        planned miss a partition that is attached meanwhile, and its rows with it; an empty one is missed without harm. The
        session keeps the locks of the model, so that no other build comes in between.
    -#}
    {%- set missing = missing_partitions(relation, rows_relation) -%}
    {%- set surplus = none if read_partition_by().default_partition else default_partition_of(relation) -%}
    {%- if surplus and not missing and run_query('select exists (select from ' ~ surplus ~ ')')[0][0] -%}
        {#- It keeps its rows, and warn_of_default_partition says so. -#}
        {%- set surplus = none -%}
    {%- endif -%}
    {%- if missing or surplus -%}
        {%- do run_query(lock_model('pg_advisory_lock')) -%}
        {%- do run_query('commit') -%}
        {%- do run_query('begin') -%}
        {%- do run_query(lock_patiently(relation, 'partitions of ' ~ relation ~ ' could not be made')) -%}
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
