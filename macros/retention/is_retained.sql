{% macro is_retained(column, model_name=none) -%}
    {#- Rows that `warehouse retain` dropped do not return with a late row or a full refresh. -#}
    {%- set gone = {} -%}
    {%- if execute and model.resource_type != 'unit_test' -%}
        {%- set node = node_of_name('model', model_name) if model_name else model -%}
        {%- if node.config.get('retain') and load_relation(state_relation('expired_partitions')) -%}
            {%- set gone = run_query(
                "select (max(upper_bound) at time zone 'UTC')::text || '+00' as upper_bound, bool_or(lower_bound = '-infinity') as has_no_beginning from "
                ~ state_relation('expired_partitions') ~ " where model_name = '" ~ state_name(node) ~ "'"
            )[0] -%}
        {%- endif -%}
    {%- endif -%}
    {%- if not gone['upper_bound'] -%}
        true
    {%- else -%}
        {#- Rows without a moment, or with -infinity, are in the default partition, which does not expire. -#}
        (
            {{ column }} >= '{{ gone['upper_bound'] }}'
            or {{ column }} is null
            {%- if not gone['has_no_beginning'] %}
            or {{ column }} = '-infinity'
            {%- endif %}
        )
    {%- endif -%}
{%- endmacro %}
