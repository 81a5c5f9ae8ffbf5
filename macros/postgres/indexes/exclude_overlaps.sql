{% macro exclude_overlaps(relation) -%}
    {#-
        PostgreSQL itself refuses two versions of one key at the same time. A new table gets the constraint with its indexes,
        before it replaces the old one; an existing table without it gets it in the transaction of its build. It needs the
        extension btree_gist; without it, only the data tests of the model check this.
    -#}
    {%- set wanted = read_no_overlaps() if execute -%}
    {%- if wanted -%}
        {#- The key is an expression, so that the planner uses a btree index to look up versions, which is several times faster. -#}
        {%- set definition = 'exclude using gist ((' ~ adapter.quote(wanted.key) ~ " || '') with =, tstzrange("
            ~ adapter.quote(wanted.valid_from) ~ ', ' ~ adapter.quote(wanted.valid_to) ~ ') with &&)' -%}
        {%- set hash = local_md5(definition) -%}
        {%- set query -%}
            select
                pg_constraint.conname::text as name,
                substring(obj_description(pg_constraint.conindid, 'pg_class') from '^dbt:([0-9a-f]{32}) of ') as hash
            from pg_constraint
            where conrelid = {{ regclass_of(relation) }}
                and contype = 'x'
                and obj_description(pg_constraint.conindid, 'pg_class') ~ '^dbt:[0-9a-f]{32} of '
        {%- endset -%}
        {%- set found = run_query(query) -%}
        {%- if found and found[0]['hash'] == hash -%}
            {{ return('') }}
        {%- elif not has_btree_gist() -%}
            {%- do log(this.identifier ~ ': extension btree_gist is not available to this role, so PostgreSQL does not enforce no_overlaps.') -%}
            {{ return('') }}
        {%- endif -%}
        {%- set name = index_name(this.identifier, '_no_overlaps') -%}
        {%- do run_query(lock_patiently(relation, 'the constraint ' ~ name ~ ' of ' ~ relation ~ ' could not be created')) -%}
        {%- if found -%}
            {%- do run_query('alter table ' ~ relation ~ ' drop constraint ' ~ adapter.quote(found[0]['name'])) -%}
        {%- endif -%}
        {%- set name = claimed_index_name(name) -%}
        {%- do run_query(
            'alter table ' ~ relation ~ ' add constraint ' ~ adapter.quote(name) ~ ' ' ~ definition ~ '; '
            ~ comment_on_index(name, comment_of_index(hash, 'no two versions at one moment'))
        ) -%}
    {%- endif -%}
{%- endmacro %}


{% macro read_no_overlaps() -%}
    {%- set given = config.get('no_overlaps') -%}
    {%- if given is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set keys = ['key', 'valid_from', 'valid_to'] -%}
    {%- set columns = columns_of_contract() -%}
    {%- if given is not mapping or given.keys() | map('string') | sort != keys or given.values() | select('string') | list | length != 3 -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': no_overlaps is ' ~ given ~ '; it takes a dictionary with a column for each of ' ~ keys | join(', ') ~ '.'
        ) }}
    {%- elif model.config.materialized not in ['table', 'incremental'] or config.get('partition_by') -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': no_overlaps is given and materialized is ' ~ model.config.materialized
            ~ (' with partition_by' if config.get('partition_by') else '')
            ~ '; it takes the materializations table and incremental, without partition_by.'
        ) }}
    {%- endif -%}
    {%- for column in given.values() if columns is not none and column not in columns -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': no_overlaps is ' ~ given ~ ' and there is no column ' ~ column ~ '; the columns are '
            ~ columns | join(', ') ~ '.'
        ) }}
    {%- endfor -%}
    {{ return(given) }}
{%- endmacro %}


{% macro has_btree_gist() -%}
    {#- True if the extension is installed or can be: a role with CREATE on the database may install trusted extensions. -#}
    {%- set query -%}
        select
            exists (select from pg_extension where extname = 'btree_gist') as is_there,
            exists (
                select
                from pg_available_extensions as offered
                inner join pg_available_extension_versions as versions
                    on offered.name = versions.name and offered.default_version = versions.version
                where offered.name = 'btree_gist'
                    and (versions.trusted or (select rolsuper from pg_roles where rolname = current_user))
                    and has_database_privilege(current_database(), 'create')
                    and coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'create'), false)
            ) as can_be_made
    {%- endset -%}
    {%- set server = run_query(query)[0] -%}
    {%- if server['can_be_made'] and not server['is_there'] -%}
        {#- Two models at the same time would both create it; the second waits here, and then finds it. -#}
        {%- do run_query("select pg_advisory_xact_lock(hashtext('extension btree_gist'))") -%}
        {%- do run_query('create extension if not exists btree_gist with schema public') -%}
    {%- endif -%}
    {{ return(server['is_there'] or server['can_be_made']) }}
{%- endmacro %}
