{% macro is_retained(column, model_name=none) -%}
    {#- Rows that `warehouse retain` took away do not return with a late row or a full refresh. -#}
    {%- set expired = [] -%}
    {%- if execute and model.resource_type != 'unit_test' -%}
        {%- set node = node_of_name('model', model_name) if model_name else model -%}
        {%- if read_retain(node) and load_relation(state_relation('expired_partitions')) -%}
            {#- Months that a legal hold keeps lie between those that expired. -#}
            {%- set query -%}
                select
                    (lower(period) at time zone 'UTC')::text || case when isfinite(lower(period)) then '+00' else '' end as lower_bound,
                    (upper(period) at time zone 'UTC')::text || case when isfinite(upper(period)) then '+00' else '' end as upper_bound
                from (
                    select unnest(range_agg(tstzrange(lower_bound, upper_bound))) as period
                    from {{ state_relation('expired_partitions') }}
                    where model_name = '{{ state_name(node) }}'
                ) as periods
                order by period
            {%- endset -%}
            {%- do expired.extend(run_query(query).rows) -%}
        {%- endif -%}
    {%- endif -%}
    {%- if not expired -%}
        true
    {%- else -%}
        {#- A row without a moment is in the default partition, which does not expire. -#}
        (
            {{ column }} is null
            {%- for period in expired %}
            {{ 'or (' if loop.first else 'and ' }}({{ column }} < '{{ period['lower_bound'] }}' or {{ column }} >= '{{ period['upper_bound'] }}')
            {%- endfor %})
        )
    {%- endif -%}
{%- endmacro %}
