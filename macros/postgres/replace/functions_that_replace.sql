{% macro create_functions_that_replace() -%}
    {#-
        Temporary functions, gone with the session. Where names or definitions are written down, nothing but
        pg_catalog is on the search_path; where the queries of others run, the session's is.
    -#}
    {{ create_find_readers() }}
    {{ create_read_queries() }}
    {{ create_copy_grants_and_comments() }}
    {{ create_create_beside() }}
    {{ create_drop_with_readers() }}
    {{ create_swap_relations() }}
    {{ create_lock_out_maintenance() }}
    {{ create_try_for_locks() }}
    {{ create_replace_relation() }}
{%- endmacro %}
