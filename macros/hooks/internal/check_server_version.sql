{% macro check_server_version() -%}
    {%- if execute -%}
        {%- set server = run_query(
            "select current_setting('server_version_num')::int as number, current_setting('server_version') as version"
        ).rows[0] -%}
        {%- if server[0] < oldest_server_version() * 10000 -%}
            {%- do exceptions.raise_compiler_error(
                'PostgreSQL on ' ~ (target.host or 'a socket') ~ ', port ' ~ target.port ~ ', database ' ~ target.database ~ ' is version ' ~ server[1]
                ~ ': the warehouse needs ' ~ oldest_server_version() ~ ' or newer. Upgrade it, or unset PGHOST and use the embedded server.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro oldest_server_version() -%}
    {{ return(16) }}
{%- endmacro %}
