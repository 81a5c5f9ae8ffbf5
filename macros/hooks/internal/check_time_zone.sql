{% macro check_time_zone() -%}
    {%- if execute and time_zone() != 'UTC' and flags.WHICH in ['build', 'run', 'seed', 'snapshot', 'test'] -%}
        {%- set known = run_query(
            "select name, name = '" ~ time_zone() ~ "' as is_exact from pg_timezone_names where lower(name) = lower('" ~ time_zone() ~ "')"
        ) -%}
        {%- if not known -%}
            {%- do refuse_time_zone() -%}
        {%- elif not known | selectattr('is_exact') | list -%}
            {%- do refuse_time_zone(' Did you mean ' ~ known[0]['name'] ~ '?') -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
