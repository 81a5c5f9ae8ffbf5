{% macro set_security_barrier() -%}
    {#- Without it, a function of a reader may see rows and columns that the view leaves out. The lock is taken only if it is missing. -#}
    {%- if execute and not run_query(
        "select coalesce('security_barrier=true' = any(reloptions), false) from pg_class where oid = " ~ regclass_of(this)
    )[0][0] -%}
        alter view {{ this }} set (security_barrier = true)
    {%- endif -%}
{%- endmacro %}
