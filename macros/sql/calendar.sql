{% macro iso_day_of_week(date) -%}
    extract(isodow from {{ date }})::int
{%- endmacro %}


{% macro first_day_of(period, date) -%}
    {%- set periods = ['week', 'month', 'quarter', 'year'] -%}
    {%- if period not in periods -%}
        {{ exceptions.raise_compiler_error(
            'first_day_of in ' ~ model.name ~ ": the period is '" ~ period ~ "'; it takes " ~ periods | join(', ') ~ '.'
        ) }}
    {%- endif -%}
    {#- Without a zone: a date is cast to midnight in the session's zone, which some days do not have. -#}
    date_trunc('{{ period }}', {{ date }}::timestamp)::date
{%- endmacro %}


{% macro month_name(date) -%}
    trim(to_char({{ date }}::timestamp, 'Month'))
{%- endmacro %}


{% macro day_name(date) -%}
    trim(to_char({{ date }}::timestamp, 'Day'))
{%- endmacro %}


{% macro whole_numbers(how_many) -%}
    select {{ each_whole_number(how_many) }} as n
{%- endmacro %}


{% macro each_whole_number(how_many) -%}
    generate_series(0, {{ how_many - 1 }})
{%- endmacro %}


{% macro numbers_from_one(up_to, alias) -%}
    {{ return(adapter.dispatch('numbers_from_one')(up_to, alias)) }}
{%- endmacro %}


{% macro default__numbers_from_one(up_to, alias) -%}
    lateral generate_series(1, {{ up_to }}) as {{ alias }} (n)
{%- endmacro %}


{% macro spark__numbers_from_one(up_to, alias) -%}
    lateral explode(sequence(1, {{ up_to }})) as {{ alias }} (n)
{%- endmacro %}
