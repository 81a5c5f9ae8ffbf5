{% macro marketing_purpose() -%}
    {#- As staging writes purposes: trimmed, in lower case. -#}
    {%- set purpose = var('marketing_purpose') -%}
    {%- if purpose is none or not purpose | string | trim -%}
        {{ exceptions.raise_compiler_error(
            "The variable marketing_purpose is '" ~ ('null' if purpose is none else purpose)
            ~ "'; it takes a purpose of consents, such as marketing."
        ) }}
    {%- endif -%}
    {{ return(quoted_texts([purpose | string | trim | lower]) | trim) }}
{%- endmacro %}
