{#- A condition: the value matches the regular expression. As in the original package, a null fails on
    PostgreSQL (false) and passes on Spark (null). The caller doubles quotes in the regular expression. -#}
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
            "expect_column_values_to_match_regex: is_raw and flags have no effect on Spark; write"
            ~ " flags into the regular expression: (?i)."
        ) -%}
    {%- endif -%}
    regexp_extract({{ value }}, '{{ regex }}', 0) <> ''
{%- endmacro -%}
