{% macro successor_of(relation) -%}
    {#- index_name cuts a long name to make room for the suffix, and adds a hash of the whole. -#}
    {%- set suffix = '__dbt_backup' -%}
    {%- if not relation.identifier.endswith(suffix) -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set beginning = relation.identifier[:-(suffix | length)] -%}
    {%- set query -%}
        select relname, relkind
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where nspname = '{{ relation.schema.replace("'", "''") }}'
            and relkind in ('r', 'p', 'v', 'm', 'f')
            and case
                when octet_length(relname || '{{ suffix }}') <= 63 then relname = '{{ beginning.replace("'", "''") }}'
                else starts_with(relname, '{{ beginning[:-9].replace("'", "''") }}')
                    and left(md5(relname || '{{ suffix }}'), 8) = '{{ beginning[-8:].replace("'", "''") }}'
            end
    {%- endset -%}
    {%- set found = run_query(query) -%}
    {%- if found | length != 1 -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(relation.incorporate(
        path={'identifier': found[0]['relname']},
        type={'v': 'view', 'm': 'materialized_view'}.get(found[0]['relkind'], 'table')
    )) }}
{%- endmacro %}
