{% macro is_sample() -%}
    {#- dbt does not offer this option among its flags. -#}
    {{ return(invocation_args_dict.get('sample') is not none) }}
{%- endmacro %}
