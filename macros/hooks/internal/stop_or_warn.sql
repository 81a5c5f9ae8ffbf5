{% macro stop_or_warn(message, remedy) -%}
    {%- if var('accept_excluded', false) or env_var('WAREHOUSE_ACCEPT_EXCLUDED', '') == '1' -%}
        {%- do exceptions.warn(message ~ '.') -%}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            message ~ '.\n' ~ remedy ~ ' (docs/adapting.md). To build nevertheless: warehouse build --accept-excluded, or dbt build --vars'
            ~ " '{accept_excluded: true}'."
        ) }}
    {%- endif -%}
{%- endmacro %}
