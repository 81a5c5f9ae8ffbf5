{#- A condition: the regular expression is found in the value. PostgreSQL finds nothing in a null,
    which is a failure; Spark does not know, which is none. So do the hub's package's expressions.
    Quotes in the regular expression are doubled by the caller. -#}
{%- macro matches_regex(value, regex, is_raw=false, flags='') -%}
    {{- return(adapter.dispatch('matches_regex', 'dbt_expectations')(value, regex, is_raw, flags)) -}}
{%- endmacro -%}

{%- macro default__matches_regex(value, regex, is_raw, flags) -%}
    {%- for flag in flags if flag not in 'bceimnpqstwx' -%}
        {{ exceptions.raise_compiler_error(
            "expect_column_values_to_match_regex: flags may hold the letters bceimnpqstwx, got "
            ~ flags | pprint ~ "."
        ) }}
    {%- endfor -%}
    coalesce(regexp_like({{ value }}, '{{ regex }}', '{{ flags }}'), false)
{%- endmacro -%}

{%- macro spark__matches_regex(value, regex, is_raw, flags) -%}
    {%- if is_raw or flags -%}
        {%- do exceptions.warn(
            "expect_column_values_to_match_regex: is_raw and flags have no meaning on Spark; write"
            ~ " flags into the regular expression: (?i)."
        ) -%}
    {%- endif -%}
    regexp_extract({{ value }}, '{{ regex }}', 0) <> ''
{%- endmacro -%}
