{% macro is_deferred() -%}
    {#- dbt has no flag of it for macros. -#}
    {{ return(invocation_args_dict.get('defer') | default(false, true)) }}
{%- endmacro %}
