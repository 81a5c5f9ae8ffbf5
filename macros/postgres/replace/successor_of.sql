{% macro successor_of(relation) -%}
    {#- dbt cuts a long name to make room for its suffix; then the only relation with that beginning is meant. -#}
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
            {% if relation.identifier | length < relation.relation_max_name_length() -%}
                and relname = '{{ beginning.replace("'", "''") }}'
            {%- else -%}
                and starts_with(relname, '{{ beginning.replace("'", "''") }}')
                and relname !~ '__dbt_(backup|tmp)'
            {%- endif %}
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
