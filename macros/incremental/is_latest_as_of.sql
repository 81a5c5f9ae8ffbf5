{% macro is_latest_as_of(snapshot) -%}
    {#-
        A snapshot cannot be rebuilt. A build as of an earlier day must not write before what later builds have seen, and one as
        of a future day would keep all later builds from writing.
    -#}
    {{ local_date(as_of()) }} <= {{ local_date(start_of_run()) }}
    {%- if execute -%}
        {%- set relation = relation_of_snapshot(snapshot) -%}
        {%- if relation %}
    and {{ as_of() }} >= (select coalesce(max(as_of), {{ beginning_of_time() }}) from {{ relation }})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
