{% macro is_latest_as_of(snapshot) -%}
    {#-
        What a snapshot keeps cannot be made again. A build as of an earlier day must not write behind what later builds have
        seen, and one as of a day to come would keep all later ones from writing.
    -#}
    {{ utc_date(as_of()) }} <= '{{ run_started_at.strftime("%Y-%m-%d") }}'::date
    {%- if execute -%}
        {%- set relation = relation_of_snapshot(snapshot) -%}
        {%- if relation %}
    and {{ as_of() }} >= (select coalesce(max(as_of), {{ beginning_of_time() }}) from {{ relation }})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
