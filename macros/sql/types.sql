{% macro timestamp_type() -%}timestamptz{%- endmacro %}


{% macro text_type() -%}text{%- endmacro %}


{% macro amount_type() -%}numeric(20, 4){%- endmacro %}


{% macro float_type() -%}double precision{%- endmacro %}
