{% macro as_of() -%}
    {%- if var('as_of', none) is none -%}
        {{ start_of_run() }}
    {%- else -%}
        {{ moment_of_variable('as_of', at_end_of_day=true) }}
    {%- endif -%}
{%- endmacro %}


{% macro start_of_run() -%}
    '{{ run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f') }}+00'::{{ timestamp_type() }}
{%- endmacro %}
