{% macro moment_of_variable(name, at_end_of_day) -%}
    {%- set text = (var(name) | string | trim).replace('T', ' ') -%}
    {%- set re = modules.re -%}
    {%- set day = '[0-9]{4}-[0-9]{2}-[0-9]{2}' -%}
    {%- set time = '[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?' -%}
    {%- set offset = '(Z|[+-][0-9]{2}(:?[0-9]{2})?)' -%}
    {%- if re.fullmatch(day, text) and time_zone() == 'UTC' -%}
        '{{ text }} {{ '23:59:59.999999' if at_end_of_day else '00:00:00' }}+00'::{{ timestamp_type() }}
    {%- elif re.fullmatch(day, text) and at_end_of_day -%}
        {#- On the day of a clock change, 23:59 may not exist. -#}
        ({{ start_of_day("('" ~ text ~ "'::date + 1)") }} - interval '1 microsecond')
    {%- elif re.fullmatch(day, text) -%}
        ({{ start_of_day("'" ~ text ~ "'::date") }})
    {%- elif re.fullmatch(day ~ ' ' ~ time ~ offset ~ '?', text) -%}
        '{{ text.replace('Z', '+00') if re.search(offset ~ '$', text[11:]) else text ~ offset_of_literals() }}'::{{ timestamp_type() }}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            'The variable ' ~ name ~ " is '" ~ var(name) ~ "'; it takes a date such as 2026-01-31, meaning its "
            ~ ('end' if at_end_of_day else 'start') ~ ' in ' ~ time_zone() ~ ", or a timestamp such as '2026-01-31 12:00:00+00'."
        ) }}
    {%- endif -%}
{%- endmacro %}
