{% macro grants_of_schemas() -%}
    {#-
        What the roles lack on the schemas, and on the tables that no model builds, of those that this role owns or whose rights it may
        pass on, as those of raw. dbt grants on models by their configuration.
    -#}
    {%- set statements = [] -%}
    {%- if execute -%}
        {%- for row in run_query(query_of_schema_grants()) -%}
            {%- do statements.append(row['statement']) -%}
        {%- endfor -%}
        {%- for row in run_query(query_of_table_grants()) -%}
            {%- do statements.append(row['statement']) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(statements | join(';\n') or 'select 1') }}
{%- endmacro %}


{% macro readers_of_schemas() -%}
    {#- By schema, the roles that may look up names in it. -#}
    {%- set open = ['warehouse_analyst', 'warehouse_engineer', 'warehouse_privacy_officer'] -%}
    {%- set inner = ['warehouse_engineer', 'warehouse_privacy_officer'] -%}
    {%- set watched = inner + ['warehouse_monitor'] -%}
    {%- set readers = {
        'raw': ['warehouse_privacy_officer', 'warehouse_monitor'], 'quarantine': watched, 'privacy': ['warehouse_privacy_officer']
    } -%}
    {%- for name in ['reporting', 'marts'] -%}
        {%- do readers.update({generate_schema_name(name, none): open}) -%}
    {%- endfor -%}
    {%- for name in ['staging', 'intermediate', 'snapshots', 'published', 'ml'] -%}
        {%- do readers.update({generate_schema_name(name, none): inner}) -%}
    {%- endfor -%}
    {%- for name in ['observability', 'quarantine'] -%}
        {%- do readers.update({generate_schema_name(name, none): watched}) -%}
    {%- endfor -%}
    {{ return(readers) }}
{%- endmacro %}


{% macro query_of_schema_grants() -%}
    {#- A load needs the schema of rejected rows, also if a build came first and created it, and has to know who was erased. -#}
    {%- set wanted = as_pairs(readers_of_schemas()) -%}
    {%- for name in ['quarantine', 'privacy'] -%}
        {%- do wanted.append({'name': name, 'role_name': 'warehouse_loader'}) -%}
    {%- endfor -%}
    {%- do wanted.append({'name': 'quarantine', 'role_name': 'warehouse_loader', 'privilege': 'create'}) -%}
    select format(
        'grant %s on schema %I to %I', coalesce(wanted.privilege, 'usage'), pg_namespace.nspname, pg_roles.rolname
    ) as statement
    from jsonb_to_recordset({{ quoted_texts([tojson(wanted)]) }}) as wanted (name text, role_name text, privilege text)
    inner join pg_namespace on wanted.name = pg_namespace.nspname
    inner join pg_roles on wanted.role_name = pg_roles.rolname
    where (
            pg_has_role(pg_namespace.nspowner, 'usage')
            or has_schema_privilege(pg_namespace.oid, coalesce(wanted.privilege, 'usage') || ' with grant option')
        )
        and not has_schema_privilege(pg_roles.oid, pg_namespace.oid, coalesce(wanted.privilege, 'usage'))
    order by 1
{%- endmacro %}


{% macro query_of_table_grants() -%}
    {#- Columns, where a table has others that the role may not see. -#}
    {%- set observed = generate_schema_name('observability', none) -%}
    {%- set quarantine = generate_schema_name('quarantine', none) -%}
    {%- set wanted = [] -%}
    {%- for role_name in ['warehouse_engineer', 'warehouse_privacy_officer', 'warehouse_monitor'] -%}
        {%- do wanted.append({'schema_name': observed, 'role_name': role_name}) -%}
    {%- endfor -%}
    {%- for role_name in ['warehouse_engineer', 'warehouse_privacy_officer'] -%}
        {%- for name in ['ml', 'published'] -%}
            {%- do wanted.append({'schema_name': generate_schema_name(name, none), 'role_name': role_name}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for schema_name in ['raw', 'quarantine', quarantine, 'privacy'] | unique -%}
        {%- do wanted.append({'schema_name': schema_name, 'role_name': 'warehouse_privacy_officer'}) -%}
    {%- endfor -%}
    {%- for table_name, column_names in {
        'row_issues': ['table_name', 'rule_name', 'effect', 'resolved_at'], 'rejected_rows': ['table_name']
    }.items() -%}
        {%- for column_name in column_names -%}
            {%- for schema_name in ['quarantine', quarantine] | unique -%}
                {%- do wanted.append({
                    'schema_name': schema_name, 'table_name': table_name, 'column_name': column_name, 'role_name': 'warehouse_monitor'
                }) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- do wanted.append({'schema_name': 'raw', 'column_name': '_loaded_at', 'role_name': 'warehouse_monitor'}) -%}
    {%- for table_name in ['erased_keys', 'sources'] -%}
        {%- do wanted.append({'schema_name': 'privacy', 'table_name': table_name, 'role_name': 'warehouse_loader'}) -%}
    {%- endfor -%}
    select format(
        'grant select%s on %s to %I', '(' || quote_ident(wanted.column_name) || ')', pg_class.oid::regclass, pg_roles.rolname
    ) as statement
    from jsonb_to_recordset({{ quoted_texts([tojson(wanted)]) }}) as wanted (schema_name text, table_name text, column_name text, role_name text)
    inner join pg_roles on wanted.role_name = pg_roles.rolname
    inner join pg_namespace on wanted.schema_name = pg_namespace.nspname
    inner join pg_class
        on pg_namespace.oid = pg_class.relnamespace
        and pg_class.relkind in ('r', 'p', 'v', 'm', 'f')
        and not pg_class.relispartition
        and (wanted.table_name is null or wanted.table_name = pg_class.relname)
    where (pg_has_role(pg_class.relowner, 'usage') or has_table_privilege(pg_class.oid, 'select with grant option'))
        and (
            wanted.column_name is null and not has_table_privilege(pg_roles.oid, pg_class.oid, 'select')
            or exists (
                select from pg_attribute
                where attrelid = pg_class.oid and attname = wanted.column_name
                    and not has_column_privilege(pg_roles.oid, attrelid, attnum, 'select')
            )
        )
    order by 1
{%- endmacro %}


{% macro as_pairs(lists) -%}
    {%- set pairs = [] -%}
    {%- for name, role_names in lists.items() -%}
        {%- for role_name in role_names -%}
            {%- do pairs.append({'name': name, 'role_name': role_name}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(pairs) }}
{%- endmacro %}
