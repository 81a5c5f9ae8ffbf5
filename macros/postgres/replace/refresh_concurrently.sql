{% macro create_refresh_concurrently() -%}
    create or replace function pg_temp.refresh_concurrently(relation regclass)
    returns text
    language plpgsql
    as $function$
    begin
        execute format('refresh materialized view concurrently %s', relation);
        return null;
    end
    $function$;
{%- endmacro %}
