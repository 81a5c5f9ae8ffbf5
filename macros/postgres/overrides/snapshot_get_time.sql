{% macro postgres__snapshot_get_time() -%}
    {#- dbt's own macro drops the zone, so a session in another zone would shift the history. -#}
    {{ current_timestamp() }}
{%- endmacro %}
