{% macro before_commit() -%}
    {%- do exclude_overlaps(this) -%}
    {%- do warn_of_default_partition() -%}
    {#- A model of another strategy may call changed_keys as well. -#}
    {%- if uses_changed_keys() or execute and (writes_rows_of_keys() or model.resource_type == 'snapshot') and has_asked_for_keys() -%}
        {{ advance_watermarks() }}
    {%- endif -%}
{%- endmacro %}
