{% macro look_up_keys(columns, upstream, found) -%}
    {%- if upstream.lookup -%}
        select {{ columns | join(', ') }}
        from {{ upstream.lookup }} as looked_up
        {%- if upstream.columns | length == 1 and 'union all' in upstream.lookup | string %}
        {#- Of an array the planner expects few values, and uses an index in each branch of the union; of a join it expects anything. #}
        where looked_up.{{ upstream.columns[0] }} = any(array({{ found }}))
        {%- else %}
        where ({{ prefixed('looked_up', upstream.columns) }}) in ({{ found }})
        {%- endif %}
            {%- if upstream.except_when %}
            and not ({{ upstream.except_when }})
            {%- endif %}
    {%- else -%}
        {{ found }}
    {%- endif -%}
{%- endmacro %}
