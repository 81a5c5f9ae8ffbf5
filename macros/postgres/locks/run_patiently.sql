{% macro run_patiently(sql) -%}
    {#- What works concurrently waits for the transactions of others, the other models of this build among them, and nobody waits for it. -#}
    {%- do run_query("set lock_timeout = '" ~ var('index_lock_timeout') ~ "'") -%}
    {%- do run_query(sql) -%}
    {%- do run_query('reset lock_timeout') -%}
{%- endmacro %}
