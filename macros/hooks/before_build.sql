{% macro before_build() -%}
    {#- Checks come first, so that a mistake in the configuration stops before anything is locked or built. -#}
    {%- do check_indexes() -%}
    {%- if model.resource_type == 'model' -%}
        {%- do apply_partition_by() -%}
    {%- endif -%}
    {%- if writes_rows_of_keys() or model.resource_type == 'snapshot' %}
    {{ lock_model() }};
    {{ use_utc() }}
    {%- endif -%}
{%- endmacro %}
