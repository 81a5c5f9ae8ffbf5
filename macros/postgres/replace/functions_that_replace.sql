{% macro create_functions_that_replace() -%}
    {#-
        Temporary functions, dropped with the session. Functions that write names or definitions have only pg_catalog on their
        search_path; those that run queries of models have that of the session.
    -#}
    {{ create_find_readers() }}
    {{ create_read_queries() }}
    {{ create_carry_over() }}
    {{ create_create_beside() }}
    {{ create_drop_with_readers() }}
    {{ create_swap_relations() }}
    {{ create_lock_out_maintenance() }}
    {{ create_try_for_locks() }}
    {{ create_replace_relation() }}
{%- endmacro %}
