{% macro check_key_is_not_null(relation, unique_key) -%}
    {#- SQL that stops if a row has a null in the unique key. A null equals nothing, so a later run would not find the row. -#}
    {%- for column in as_list(unique_key) %}
    do $check_key$
    declare
        found bigint;
    begin
        if exists (select from {{ relation }} where {{ column }} is null) then
            select count(*) into found from {{ relation }} where {{ column }} is null;
            raise exception using message = format(
                '{{ model.name }}: {{ column }} is null in %s row(s), and it is part of unique_key. A null equals no key, so no later run would update'
                ' or delete these rows. Leave them out, or replace the null, as with coalesce({{ column }}, ''unknown''); if changed_keys names'
                ' {{ column }}, replace it there too (docs/incremental-models.md).',
                found
            );
        end if;
    end
    $check_key$;
    {%- endfor %}
{%- endmacro %}
