{#- A condition: the expression is within the given bounds; at least one bound is required. -#}
{%- macro within_bounds(test_name, expression, min_value, max_value, strictly) -%}
    {%- if min_value is none and max_value is none -%}
        {{ exceptions.raise_compiler_error(
            test_name ~ ": give min_value, max_value or both, got neither."
        ) }}
    {%- endif -%}

    {%- set or_equal = '' if strictly else '=' -%}
    {%- set bounds = [] -%}
    {%- if min_value is not none -%}
        {%- do bounds.append(expression ~ ' >' ~ or_equal ~ ' ' ~ min_value) -%}
    {%- endif -%}
    {%- if max_value is not none -%}
        {%- do bounds.append(expression ~ ' <' ~ or_equal ~ ' ' ~ max_value) -%}
    {%- endif -%}
    {{- bounds | join(' and ') -}}
{%- endmacro -%}
