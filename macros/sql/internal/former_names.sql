{% macro warn_of_former_name(former, name) -%}
    {%- if execute -%}
        {%- do exceptions.warn(
            (model.name if model is defined else 'The project') ~ ': ' ~ former ~ ' is deprecated and will be removed in the next release; use ' ~ name ~ ' instead.'
        ) -%}
    {%- endif -%}
{%- endmacro %}
