{#- One text key from several columns. It must be byte-identical to the original package, because every
    surrogate key of the warehouse is computed here. -#}
{%- macro generate_surrogate_key(field_list) -%}
    {%- if field_list is string or field_list is mapping or not field_list -%}
        {{ exceptions.raise_compiler_error(
            "generate_surrogate_key: field_list must be a list with at least one column, got "
            ~ field_list | pprint ~ ". Write generate_surrogate_key(['order_id', 'line'])."
        ) }}
    {%- endif -%}

    {%- if var('surrogate_key_treat_nulls_as_empty_strings', false) -%}
        {%- set missing = "''" -%}
    {%- else -%}
        {%- set missing = "'_dbt_utils_surrogate_key_null_'" -%}
    {%- endif -%}

    {%- set column_texts = [] -%}
    {%- for column in field_list -%}
        {%- do column_texts.append(
            'coalesce(' ~ dbt.cast(column, dbt.type_string()) ~ ', ' ~ missing ~ ')'
        ) -%}
    {%- endfor -%}

    {{- dbt.hash(column_texts | join(" || '-' || ")) -}}
{%- endmacro -%}
