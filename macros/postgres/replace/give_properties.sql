{% macro prepare_successor(old, new) -%}
    {%- do run_query(create_carry_over()) -%}
    {%- do run_query('select pg_temp.prepare_successor(' ~ regclass_of(old) ~ ', ' ~ regclass_of(new) ~ ')') -%}
{%- endmacro %}


{% macro remember_properties(old) -%}
    {%- do run_query(create_carry_over()) -%}
    {%- do run_query('select pg_temp.remember_properties(' ~ regclass_of(old) ~ ')') -%}
{%- endmacro %}


{% macro carry_over_remembered(old, new) -%}
    {%- do run_query(create_carry_over()) -%}
    {%- do run_query('select pg_temp.carry_over_remembered(' ~ regclass_of(old) ~ ', ' ~ regclass_of(new) ~ ')') -%}
{%- endmacro %}
