{% macro run_patiently(sql) -%}
    {#-
        A concurrent command waits for the transactions of other sessions, including other models of this build, and no session
        waits for it.
    -#}
    {%- do run_query("set lock_timeout = '" ~ var('index_lock_timeout') ~ "'") -%}
    {%- do run_query(sql) -%}
    {%- do run_query('reset lock_timeout') -%}
{%- endmacro %}
