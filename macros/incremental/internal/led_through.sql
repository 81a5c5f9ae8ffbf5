{% macro led_through(columns, upstream, found) -%}
    {%- if upstream.through -%}
        select {{ columns | join(', ') }}
        from {{ upstream.through }} as led
        where ({{ prefixed('led', upstream.columns) }}) in ({{ found }})
            {%- if upstream.unless %}
            and not ({{ upstream.unless }})
            {%- endif %}
    {%- else -%}
        {{ found }}
    {%- endif -%}
{%- endmacro %}
