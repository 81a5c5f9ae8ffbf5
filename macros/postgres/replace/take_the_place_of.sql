{% macro take_the_place_of(relation, new) -%}
    {%- do run_query(create_functions_that_replace()) -%}
    {%- do run_query(
        'select pg_temp.copy_grants_and_comments(' ~ regclass_of(relation) ~ ', ' ~ regclass_of(new) ~ ')'
    ) -%}
    {%- set trouble = replace_relation(relation, new, takes_name=true) -%}
    {%- if trouble -%}
        {{ exceptions.raise_compiler_error(relation ~ ' could not be replaced; nothing was changed: ' ~ trouble ~ '.') }}
    {%- endif -%}
{%- endmacro %}
