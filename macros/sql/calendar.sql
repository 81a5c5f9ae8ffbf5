{% macro iso_day_of_week(date) -%}
    extract(isodow from {{ date }})::int
{%- endmacro %}


{% macro month_name(date) -%}
    trim(to_char({{ date }}, 'Month'))
{%- endmacro %}


{% macro day_name(date) -%}
    trim(to_char({{ date }}, 'Day'))
{%- endmacro %}


{% macro whole_numbers(how_many) -%}
    select generate_series(0, {{ how_many - 1 }}) as n
{%- endmacro %}
