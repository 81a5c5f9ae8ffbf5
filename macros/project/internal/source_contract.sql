{% macro readers_of_sources() -%}
    {#- The tables that this run reads; as an operation, all that are present. A disabled table or model is not in the graph. -#}
    {%- set sources, readers = {}, {} -%}
    {%- for unique_id, source in graph.sources.items() if source.source_name == 'app' -%}
        {%- do sources.update({unique_id: source}) -%}
    {%- endfor -%}
    {%- set is_operation = flags.WHICH == 'run-operation' -%}
    {%- set candidates = graph.nodes if is_operation else selected_resources -%}
    {%- for unique_id in candidates if unique_id in graph.nodes and unique_id.split('.')[0] in ['model', 'snapshot'] -%}
        {%- set node = graph.nodes[unique_id] -%}
        {%- for source_id in node.depends_on.nodes if source_id in sources -%}
            {%- set source = sources[source_id] -%}
            {%- set without_xmin = 'read_source[(][^)]*' ~ source.name ~ "[^)]*,[^)]*[fF]alse" -%}
            {%- set reads_xmin = 'read_source' in node.raw_code and modules.re.search(without_xmin, node.raw_code) is none -%}
            {%- set before = readers.get(source.name, {'reads_xmin': false}) -%}
            {%- do readers.update({source.name: {
                'source': source, 'reads_xmin': reads_xmin or before.reads_xmin, 'path': node.original_file_path
            }}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set in_order = {} -%}
    {%- for source in sources.values() if source.name in readers -%}
        {%- do in_order.update({source.name: readers[source.name]}) -%}
    {%- endfor -%}
    {{ return(in_order) }}
{%- endmacro %}


{% macro columns_in_catalog(sources) -%}
    {%- set query -%}
        select
            wanted.table_name,
            pg_namespace.oid is not null as has_schema,
            pg_class.relkind::text as relkind,
            has_schema_privilege(pg_namespace.oid, 'usage')
            and (has_table_privilege(pg_class.oid, 'select') or has_any_column_privilege(pg_class.oid, 'select')) as may_read,
            current_role::text as role_name,
            attribute.attname::text as column_name,
            attribute.attnotnull as is_not_null,
            format_type(attribute.atttypid, attribute.atttypmod) as type_name,
            base_type.typname::text as base_name,
            base_type.typcategory::text as category
        from (
            values
            {%- for source in sources %}
            ('{{ source.name }}', {{ quoted_texts([source.schema]) }}, {{ quoted_texts([source.identifier]) }}){{ ',' if not loop.last }}
            {%- endfor %}
        ) as wanted (table_name, schema_name, identifier)
        left join pg_namespace on wanted.schema_name = pg_namespace.nspname
        left join pg_class
            on pg_namespace.oid = pg_class.relnamespace
                and wanted.identifier = pg_class.relname
                and pg_class.relkind in ('r', 'p', 'v', 'm', 'f')
        left join pg_attribute as attribute
            on pg_class.oid = attribute.attrelid
                and not attribute.attisdropped
                and (attribute.attnum > 0 or attribute.attname = 'xmin')
        left join pg_type as own_type on attribute.atttypid = own_type.oid
        left join pg_type as base_type on coalesce(nullif(own_type.typbasetype, 0), own_type.oid) = base_type.oid
    {%- endset -%}
    {{ return(run_query(query).rows | list) }}
{%- endmacro %}


{% macro findings_in_source(reader, rows) -%}
    {%- set source = reader.source -%}
    {%- set relation = source.schema ~ '.' ~ source.identifier -%}
    {%- set first = rows[0] -%}
    {%- if first['relkind'] is none -%}
        {{ return([
            relation ~ ' does not exist' ~ ('' if first['has_schema'] else ', nor its schema')
            ~ ': create a table or a view of this name, with the columns ' ~ source.columns.keys() | join(', ')
            ~ ('' if source.name in ['users', 'orders'] else '; if the application has no such table, leave ' ~ source.name ~ ' out of the variable sources_present')
            ~ ' (docs/adapting.md, steps 2 and 3).'
        ]) }}
    {%- elif not first['may_read'] -%}
        {{ return([
            relation ~ ' may not be read by the role ' ~ first['role_name'] ~ ': grant usage on schema ' ~ source.schema ~ ' to ' ~ first['role_name']
            ~ '; grant select on ' ~ relation ~ ' to ' ~ first['role_name'] ~ ';'
        ]) }}
    {%- endif -%}
    {%- set findings = [] -%}
    {%- set is_view = first['relkind'] in ['v', 'm'] -%}
    {%- set columns = {} -%}
    {%- for row in rows -%}
        {%- do columns.update({row['column_name']: row}) -%}
    {%- endfor -%}
    {%- for column in source.columns.values() if column.data_type -%}
        {%- set found = columns.get(column.name) -%}
        {%- set where = relation ~ '.' ~ column.name -%}
        {%- if not found -%}
            {%- do findings.append(
                where ~ ' is missing, expected ' ~ column.data_type ~ ': '
                ~ ('select it in the view, or null::' ~ column.data_type ~ ' as ' ~ column.name if is_view
                    else 'alter table ' ~ relation ~ ' add column ' ~ column.name ~ ' ' ~ column.data_type
                        ~ (' not null default now()' if column.name == '_loaded_at' else '') ~ ';')
            ) -%}
        {%- elif not fits_type(column.data_type, found['base_name'], found['category']) -%}
            {%- set cast = cast_to_type(column.name, column.data_type, found['base_name']) -%}
            {%- do findings.append(
                where ~ ' has the type ' ~ found['type_name'] ~ ', expected ' ~ column.data_type ~ ': '
                ~ ('in the view, select ' ~ cast ~ ' as ' ~ column.name if is_view
                    else 'alter table ' ~ relation ~ ' alter column ' ~ column.name ~ ' type ' ~ column.data_type ~ ' using ' ~ cast ~ ';')
            ) -%}
        {%- elif column.name == '_loaded_at' and first['relkind'] in ['r', 'p'] and not found['is_not_null'] -%}
            {%- do findings.append(
                where ~ ' may be null, and a build never finds such a row: alter table ' ~ relation ~ ' alter column _loaded_at set not null;'
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if reader.reads_xmin and source.columns and (first['relkind'] == 'f' or 'xmin' not in columns) -%}
        {%- do findings.append(
            relation ~ ' has no column xmin, by which builds find late commits: '
            ~ ('select xmin of its table in the view; if it has none, as a foreign table, ' if is_view else 'it is a foreign table; ')
            ~ "write read_source('" ~ source.name ~ "', has_row_xid=false) in " ~ reader.path
        ) -%}
    {%- endif -%}
    {{ return(findings) }}
{%- endmacro %}


{% macro fits_type(expected, base_name, category) -%}
    {#- Staging casts texts and amounts; it passes every other type on, and the contracts of the marts compare it exactly. -#}
    {%- if expected == 'text' -%}
        {{ return(category in ['S', 'E', 'B'] or base_name == 'uuid' or category == 'N' and base_name != 'money') }}
    {%- elif expected == 'numeric' -%}
        {{ return(base_name in ['numeric', 'int2', 'int4', 'int8', 'float4', 'float8']) }}
    {%- endif -%}
    {{ return(base_name == {'boolean': 'bool'}.get(expected, expected)) }}
{%- endmacro %}


{% macro cast_to_type(column, expected, base_name) -%}
    {%- if expected == 'timestamptz' and base_name in ['timestamp', 'date'] -%}
        {{ return(column ~ ('::timestamp' if base_name == 'date' else '') ~ " at time zone 'UTC'") }}
    {%- elif expected == 'timestamptz' and base_name in ['int4', 'int8', 'float8', 'numeric'] -%}
        {{ return('to_timestamp(' ~ column ~ ')') }}
    {%- elif expected == 'date' and base_name == 'timestamptz' -%}
        {{ return('(' ~ column ~ " at time zone 'UTC')::date") }}
    {%- endif -%}
    {{ return(column ~ '::' ~ expected) }}
{%- endmacro %}


{% macro key_of_source(node) -%}
    {#- The primary key of the raw table that a staging model reads; none for another model. -#}
    {%- for unique_id in node.depends_on.nodes if unique_id.startswith('source.') -%}
        {{ return(graph.sources[unique_id].config.meta.get('primary_key')) }}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}
