{% macro look_up_keys(columns, upstream, found) -%}
    {%- if upstream.lookup -%}
        select {{ columns | join(', ') }}
        from {{ upstream.lookup }} as looked_up
        where ({{ prefixed('looked_up', upstream.columns) }}) in ({{ found }})
            {%- if upstream.except_when %}
            and not ({{ upstream.except_when }})
            {%- endif %}
    {%- else -%}
        {{ found }}
    {%- endif -%}
{%- endmacro %}
