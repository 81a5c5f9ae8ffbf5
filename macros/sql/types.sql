{% macro timestamp_type() -%}timestamptz{%- endmacro %}


{% macro text_type() -%}text{%- endmacro %}


{% macro amount_type() -%}numeric(20, 4){%- endmacro %}


{% macro rate_type() -%}numeric(28, 12){%- endmacro %}


{% macro measure_type() -%}numeric(24, 6){%- endmacro %}


{% macro float_type() -%}
    {{ return(adapter.dispatch('float_type')()) }}
{%- endmacro %}


{% macro default__float_type() -%}double precision{%- endmacro %}


{% macro spark__float_type() -%}double{%- endmacro %}
