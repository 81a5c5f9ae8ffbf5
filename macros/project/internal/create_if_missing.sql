{% macro create_schema_if_missing(schema) -%}
    {#- PostgreSQL asks for the right to create before it looks whether there is anything to create. -#}
    {%- set name = quoted_texts([schema]) %}
    do $create_schema$
    begin
        if not exists (select from pg_namespace where nspname = {{ name }}) then
            if not has_database_privilege(current_database(), 'create') then
                raise exception 'The schema % does not exist, and the role % may not create it. As an administrator, run: create schema % authorization %; or allow it to create schemas: grant create on database % to %;',
                    {{ name }}, current_role, quote_ident({{ name }}), quote_ident(current_role), quote_ident(current_database()), quote_ident(current_role);
            end if;
            create schema if not exists {{ adapter.quote(schema) }};
        elsif not has_schema_privilege({{ name }}, 'usage') then
            raise exception 'The role % may not use the schema %. As its owner, run: grant usage, create on schema % to %;',
                current_role, {{ name }}, quote_ident({{ name }}), quote_ident(current_role);
        end if;
    end
    $create_schema$;
{%- endmacro %}


{% macro create_table_if_missing(relation, definition, rights=['select']) -%}
    {#- The caller holds the lock under which other first runs wait. -#}
    {{ create_schema_if_missing(relation.schema) }}

    do $create_table$
    declare
        found oid := to_regclass('{{ relation }}');
    begin
        if found is null then
            if not has_schema_privilege('{{ relation.schema }}', 'create') then
                raise exception 'The table % does not exist, and the role % may not create it. As the owner of the schema, run: grant usage, create on schema % to %;',
                    '{{ relation.include(database=false) }}', current_role, quote_ident('{{ relation.schema }}'), quote_ident(current_role);
            end if;
            {{ definition }}
        elsif not (
            {%- for right in rights %}
            has_table_privilege(found, '{{ right }}'){{ ' and' if not loop.last }}
            {%- endfor %}
        ) then
            raise exception 'The role % lacks rights on the table %, which builds need. As its owner, run: grant {{ rights | join(', ') }} on % to %; or build as the role % (PGOPTIONS, see docs/adapting.md).',
                current_role, found::regclass, found::regclass, quote_ident(current_role),
                (select pg_get_userbyid(relowner) from pg_class where oid = found);
        end if;
    end
    $create_table$;
{%- endmacro %}


{% macro check_schemas_of_run() -%}
    {#- dbt creates the schemas that are missing. In one that exists, the first model would fail with a bare "permission denied". -#}
    {%- set schemas = [] -%}
    {%- for unique_id in selected_resources if unique_id in graph.nodes and unique_id.split('.')[0] in ['model', 'seed', 'snapshot'] -%}
        {%- do schemas.append(graph.nodes[unique_id].schema.replace("'", "''")) -%}
    {%- endfor %}
    do $check_schemas$
    declare
        refused text := (
            select string_agg(quote_ident(nspname), ', ' order by nspname)
            from pg_namespace
            where nspname in ('{{ schemas | unique | join("', '") }}')
                and not (has_schema_privilege(oid, 'usage') and has_schema_privilege(oid, 'create'))
        );
    begin
        if refused is not null then
            raise exception 'The role % may not create tables in the schemas %. As their owner, run: grant usage, create on schema % to %; or build as a role that owns them (PGOPTIONS, see docs/adapting.md).',
                current_role, refused, refused, quote_ident(current_role);
        end if;
    end
    $check_schemas$
{%- endmacro %}
