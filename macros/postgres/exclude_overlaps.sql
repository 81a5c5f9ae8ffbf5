{% macro exclude_overlaps(key, valid_from, valid_to) -%}
    {#-
        A post-hook in the transaction: PostgreSQL itself refuses two versions of one key at one moment. It needs
        the extension btree_gist; where that cannot be had, the data tests of the model are what checks it. The key is
        an expression there, so that the planner looks versions up in a btree index, which is several times faster.
    -#}
    {%- if execute -%}
        {%- set name = index_name(this.identifier, '_no_overlaps') -%}
        {%- set definition = 'exclude using gist ((' ~ adapter.quote(key) ~ " || '') with =, tstzrange("
            ~ adapter.quote(valid_from) ~ ', ' ~ adapter.quote(valid_to) ~ ') with &&)' -%}
        {%- set hash = local_md5(definition) -%}
        {%- set query -%}
            select
                pg_constraint.conname::text as name,
                substring(obj_description(pg_constraint.conindid, 'pg_class') from '^dbt:([0-9a-f]{32}) of ') as hash
            from pg_constraint
            where conrelid = '{{ this }}'::regclass
                and contype = 'x'
                and obj_description(pg_constraint.conindid, 'pg_class') ~ '^dbt:[0-9a-f]{32} of '
        {%- endset -%}
        {%- set found = run_query(query) -%}
        {%- if not (found and found[0]['hash'] == hash) -%}
            {%- if found -%}
                {%- do run_query('alter table ' ~ this ~ ' drop constraint ' ~ adapter.quote(found[0]['name'])) -%}
            {%- endif -%}
            {%- if has_btree_gist() -%}
                {%- set name = claimed_index_name(name) -%}
                {%- do run_query(
                    'alter table ' ~ this ~ ' add constraint ' ~ adapter.quote(name) ~ ' ' ~ definition ~ '; '
                    ~ comment_on_index(name, comment_of_index(hash, 'no two versions at one moment'))
                ) -%}
            {%- else -%}
                {%- do log(this.identifier ~ ': the server has no btree_gist for this role, so it does not refuse overlaps itself.') -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro has_btree_gist() -%}
    {#- True when the extension is there, or was made now: who may create in the database may install what the server trusts. -#}
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
                    and has_schema_privilege('public', 'create')
            ) as can_be_made
    {%- endset -%}
    {%- set server = run_query(query)[0] -%}
    {%- if server['can_be_made'] and not server['is_there'] -%}
        {#- Two models at once would both make it; the second waits here, and then finds it. -#}
        {%- do run_query("select pg_advisory_xact_lock(hashtext('extension btree_gist'))") -%}
        {%- do run_query('create extension if not exists btree_gist with schema public') -%}
    {%- endif -%}
    {{ return(server['is_there'] or server['can_be_made']) }}
{%- endmacro %}
