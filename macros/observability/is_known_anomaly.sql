{% macro is_known_anomaly() -%}
    {#- A condition on table_name, measure, column_name and day: one of var known_anomalies names the value. -#}
    {%- for known in var('known_anomalies') or [] %}
    {{- '(' if loop.first else ' or ' -}}
    (
        day between '{{ known.get('from') or known.get('day') or '1900-01-01' }}'::date and '{{ known.get('to') or known.get('day') or '9999-12-31' }}'::date
        {%- for name in ['table_name', 'measure', 'column_name'] if known.get(name) %}
        and {{ name }} = '{{ known[name] | replace("'", "''") }}'
        {%- endfor %}
    )
    {{- ')' if loop.last -}}
    {%- else -%}
    false
    {%- endfor -%}
{%- endmacro %}
