{% macro time_zone() -%}
    {#- Checked before it is part of any SQL; before_run asks the database whether there is such a zone. -#}
    {%- set zone = var('time_zone', 'UTC') -%}
    {%- if zone is not string or not modules.re.fullmatch('UTC|(?!Etc/|posix/|right/|SystemV/)[A-Za-z]+(/[A-Za-z0-9_+-]+)+', zone) -%}
        {%- do refuse_time_zone() -%}
    {%- endif -%}
    {{ return(zone) }}
{%- endmacro %}


{% macro refuse_time_zone(hint='') -%}
    {{ exceptions.raise_compiler_error(
        "The variable time_zone is '" ~ var('time_zone', 'UTC') ~ "'; it takes UTC, or the name of a region and city such as "
        ~ "America/New_York, spelled as in pg_timezone_names." ~ hint
        ~ " Offsets such as +03 or UTC+3, abbreviations such as EST, and Etc/ names are refused: PostgreSQL reads the sign of some of"
        ~ " them the other way round, and they know no daylight-saving time."
    ) }}
{%- endmacro %}


{% macro offset_of_literals() -%}
    {#- What makes the text of a local time a timestamp: PostgreSQL and Spark take the name of a zone there. -#}
    {{ '+00' if time_zone() == 'UTC' else ' ' ~ time_zone() }}
{%- endmacro %}
