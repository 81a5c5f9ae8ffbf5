{% macro postgres__snapshot_get_time() -%}
    {#- dbt's own cuts the zone off, so that a session in another zone would shift the history. -#}
    {{ current_timestamp() }}
{%- endmacro %}
