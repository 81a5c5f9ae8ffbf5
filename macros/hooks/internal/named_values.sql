{% macro named_values(rows) -%}
    {%- set named = [] -%}
    {%- for row in rows -%}
        {%- do named.append((row['value'] if row['value'] is not none else 'null') ~ ' (' ~ '{:,}'.format(row['row_count'] | int) ~ ')') -%}
    {%- endfor -%}
    {%- if rows[0]['values_count'] > rows | length -%}
        {%- do named.append('and ' ~ '{:,}'.format((rows[0]['values_count'] - rows | length) | int) ~ ' more') -%}
    {%- endif -%}
    {{ return(named | join(', ')) }}
{%- endmacro %}
