{% macro tell_of_anomalies(anomalies, condition) -%}
    {%- if execute and flags.WHICH in ['build', 'test'] -%}
        {%- set rows = run_query(
            'select day, table_name, measure, column_name, trim_scale(value), trim_scale(expected_low), trim_scale(expected_high), verdict from '
            ~ anomalies ~ ' where ' ~ condition ~ ' order by table_name, measure, column_name'
        ).rows -%}
        {%- set named = [] -%}
        {%- for row in rows[:20] -%}
            {%- do named.append(
                row[1] ~ ', ' ~ row[2] ~ ('' if row[3] == '*' else ' of ' ~ row[3]) ~ ': ' ~ row[4] ~ ' is ' ~ row[7] ~ ', expected ' ~ row[5]
                ~ ' to ' ~ row[6]
            ) -%}
        {%- endfor -%}
        {%- if rows | length > 20 -%}
            {%- do named.append('and ' ~ (rows | length - 20) ~ ' more in ' ~ anomalies) -%}
        {%- endif -%}
        {%- if rows -%}
            {%- do exceptions.warn(
                rows[0][0] ~ ' has ' ~ rows | length ~ (' anomaly' if rows | length == 1 else ' anomalies') ~ ': ' ~ named | join('; ')
                ~ '. If it is known, add it to the variable known_anomalies (docs/anomalies.md).'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
