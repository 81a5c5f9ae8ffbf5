{% macro leave_alone() -%}
    {#- The result of the node, by which its hooks know that nothing was written. -#}
    {%- do store_raw_result(name='main', message='UNCHANGED', code='UNCHANGED', rows_affected='0') -%}
{%- endmacro %}


{% macro is_left_alone() -%}
    {%- set result = load_result('main') -%}
    {{ return(result is not none and result.response.code == 'UNCHANGED') }}
{%- endmacro %}
