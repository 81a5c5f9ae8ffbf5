{% macro as_of() -%}
    '{{ as_of_timestamp() }}'::{{ timestamp_type() }}
{%- endmacro %}


{% macro as_of_timestamp() -%}
    {%- set given = var('as_of', none) -%}
    {%- if given is none -%}
        {{ run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f') }}+00
    {%- else -%}
        {%- set text = (given | string | trim).replace('T', ' ') -%}
        {%- set re = modules.re -%}
        {%- if re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}', text) -%}
            {{ text }} 23:59:59.999999+00
        {%- elif re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?', text) -%}
            {{ text.replace('Z', '+00') if re.search('(Z|[+-][0-9]{2}(:?[0-9]{2})?)$', text[11:]) else text ~ '+00' }}
        {%- else -%}
            {{ exceptions.raise_compiler_error(
                "The variable as_of is '" ~ given ~ "'; it takes a date such as 2026-01-31, meaning the end of that day in UTC, "
                ~ "or a timestamp such as '2026-01-31 12:00:00+00'."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
