{% macro definition_fingerprint() -%}
    {#- What determines the rows, apart from the upstreams: the SQL as written, the macros that it calls, and their variables. -#}
    {%- set texts = [compiled_query() if config.get('materialized') == 'materialized_view' else model.raw_code] -%}
    {%- do add_texts_of_macros(model.depends_on.macros, texts, []) -%}
    {%- set text = texts | join('\n') -%}
    {%- set values = [] -%}
    {%- for name in modules.re.findall('\\bvar\\(\\s*["\']([^"\']+)["\']', text) | unique | sort if name not in ['as_of', 'from', 'to'] -%}
        {%- do values.append(name ~ ': ' ~ var(name, none)) -%}
    {%- endfor -%}
    {%- for name in modules.re.findall('\\benv_var\\(\\s*["\']([^"\']+)["\']', text) | unique | sort if not name.startswith('DBT_ENV_SECRET') -%}
        {%- do values.append(name ~ ': ' ~ env_var(name, '')) -%}
    {%- endfor -%}
    {{ return(local_md5(text ~ values | join('\n'))) }}
{%- endmacro %}


{% macro add_texts_of_macros(unique_ids, texts, seen) -%}
    {#-
        Hooks, and what finds the keys of a run, do not determine rows. dbt's own macros change with its version only; a package's,
        and this project's, count.
    -#}
    {%- set machinery = [
        'changed_keys', 'is_changed', 'is_changed_in_partitions', 'is_in', 'rows_of_changed_days', 'rows_of_changed_months', 'upstream',
        'user_versions', 'has_product_at', 'has_user_key_at', 'skip_unless_changed', 'with_siblings', 'before_build', 'before_commit', 'after_build'
    ] -%}
    {%- for unique_id in unique_ids if unique_id not in seen -%}
        {%- do seen.append(unique_id) -%}
        {%- set package, name = unique_id.split('.')[1], unique_id.split('.')[2] -%}
        {%- set generator = (context.get(package) or {}).get(name) -%}
        {%- if package not in ['dbt', 'dbt_postgres'] and name not in machinery and generator -%}
            {%- do texts.append(generator.macro.macro_sql) -%}
            {%- do add_texts_of_macros(generator.macro.depends_on.macros, texts, seen) -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}


{% macro snapshot_fingerprint() -%}
    {#-
        The views that it reads are compared as the database has them, with the macros that they use; their tables by their
        files, which change when a table is truncated, replaced or restored.
    -#}
    {%- set names = [] -%}
    {%- for table in tables_of_snapshot() -%}
        {%- do names.append(regclass_of(table.relation)) -%}
    {%- endfor -%}
    {%- set query -%}
        with recursive reached (oid) as (
            select unnest(array[{{ names | join(', ') }}]::oid[])
            union
            select read.oid
            from reached
            cross join lateral (
                select depends.refobjid as oid
                from pg_rewrite
                inner join pg_depend as depends
                    on depends.classid = 'pg_rewrite'::regclass
                        and depends.objid = pg_rewrite.oid
                        and depends.refclassid = 'pg_class'::regclass
                where pg_rewrite.ev_class = reached.oid
                union all
                select inhrelid from pg_inherits where inhparent = reached.oid
            ) as read
        )

        select md5(coalesce(string_agg(
            case when relkind = 'v' then pg_get_viewdef(oid) else oid || ':' || coalesce(pg_relation_filenode(oid), 0) end,
            '|' order by oid
        ), ''))
        from reached
        inner join pg_class using (oid)
    {%- endset -%}
    {{ return(local_md5(
        model.compiled_code ~ config.get('unique_key') ~ config.get('check_cols') ~ config.get('dbt_valid_to_current')
        ~ run_query(query)[0][0]
    )) }}
{%- endmacro %}


{% macro compiled_query() -%}
    {#- A copy of the database has another name. -#}
    {{ return((config.get('sql_header') or '') ~ model.compiled_code.replace(adapter.quote(target.database) ~ '.', '')) }}
{%- endmacro %}


{% macro fingerprint_of(relation) -%}
    {#- The names count: two columns may have changed places. -#}
    (
        select md5(
            coalesce(string_agg(lookup::text, '|' order by lookup::text), '') || (
                select string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ',' order by attnum)
                from pg_attribute
                where attrelid = {{ regclass_of(relation) }} and attnum > 0 and not attisdropped
            )
        )
        from {{ relation }} as lookup
    )
{%- endmacro %}


{% macro view_fingerprint_of(relation) -%}
    {#-
        Of the view's definition and those of the views below it; null for a table. From the catalog and not from the project,
        because the view may not have been built since its SQL changed.
    -#}
    (
        with recursive views as (
            select oid
            from pg_class
            where oid = {{ regclass_of(relation) }} and relkind = 'v'
            union
            select below.oid
            from views
            inner join pg_rewrite on views.oid = pg_rewrite.ev_class
            inner join pg_depend
                on pg_depend.classid = 'pg_rewrite'::regclass
                    and pg_rewrite.oid = pg_depend.objid
                    and pg_depend.refclassid = 'pg_class'::regclass
            inner join pg_class as below on pg_depend.refobjid = below.oid and below.relkind = 'v'
        )

        select md5(string_agg(pg_get_viewdef(oid), '' order by pg_get_viewdef(oid)))
        from views
    )
{%- endmacro %}
