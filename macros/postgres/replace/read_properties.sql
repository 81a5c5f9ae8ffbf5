{% macro create_read_properties() -%}
    {#-
        What hangs on a relation besides its rows, each as the statement that gives it to the relation of that name. Read from the
        catalogs of properties_in_catalogs. is_own: the model declares it, so its new version has it anyway or no longer should.
        place: 0 for what no statement can move; 1 to 4 for what each partition has for itself; to 8 for what takes long, where
        alias begins the names that clash with those of the old relation; from 9 on for the rest.
    -#}
    create or replace function pg_temp.key_of_own_index(index oid)
    returns text
    language sql
    set search_path = pg_catalog, pg_temp
    as $function$
        select coalesce(
            substring(obj_description(index, 'pg_class') from '^dbt:[0-9a-f]{32}'),
            (
                select pg_get_constraintdef(oid)
                from pg_constraint
                where conindid = index and contype in ('p', 'u', 'x') and obj_description(oid, 'pg_constraint') ~ '^dbt:'
            )
        )
    $function$;

    create or replace function pg_temp.read_properties(relation oid, known_as text, alias text)
    returns table (
        kind text,
        object text,
        definition text,
        statement text,
        as_role name,
        attribute name,
        is_own boolean,
        place integer
    )
    language plpgsql
    set search_path = pg_catalog, pg_temp
    {# Planning takes longer than the query. #}
    set plan_cache_mode = force_generic_plan
    as $function$
    #variable_conflict use_column
    begin
        return query
        with

        tables as (
            select
                pg_class.*,
                pg_class.oid::regclass::text as own_name,
                case relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end as noun
            from pg_class
            where pg_class.oid = relation
        ),

        columns as (
            select pg_attribute.*
            from pg_attribute
            where attrelid = relation and attnum > 0 and not attisdropped
        ),

        constraints as (
            select
                pg_constraint.*,
                coalesce(obj_description(pg_constraint.oid, 'pg_constraint') ~ '^dbt:', false)
                {# Of a foreign key, it is an index of the other table. #}
                or contype != 'f' and coalesce(obj_description(conindid, 'pg_class') ~ '^dbt:', false) as is_own,
                pg_get_constraintdef(pg_constraint.oid) as definition
            from pg_constraint
            where conrelid = relation and conparentid = 0 and coninhcount = 0
        ),

        indexes as (
            select
                names.*,
                pg_index.indisclustered,
                pg_index.indisreplident,
                pg_constraint.oid is not null as is_of_constraint,
                names.oid::regclass::text as own_name,
                {# Of one that the model declares, the successor has another name; name_own_index finds it. #}
                case
                    when not names.relispartition then pg_temp.key_of_own_index(names.oid)
                end as own_key,
                case when indisunique then 'unique ' else '' end as unique_or_not,
                names.relispartition
                or not indisvalid
                or names.relname ~ '^[0-9a-f]{32}$'
                or coalesce(obj_description(names.oid, 'pg_class') ~ '^dbt:', false) as is_own,
                substr(
                    pg_get_indexdef(names.oid),
                    1 + length(format(
                        'CREATE %sINDEX %I ON %s%s ',
                        case when indisunique then 'UNIQUE ' else '' end,
                        names.relname,
                        case names.relkind when 'I' then 'ONLY ' else '' end,
                        pg_index.indrelid::regclass
                    ))
                ) as definition
            from pg_index
            inner join pg_class as names on pg_index.indexrelid = names.oid
            left join pg_constraint on names.oid = pg_constraint.conindid and contype in ('p', 'u', 'x')
            where indrelid = relation
        ),

        triggers as (
            select
                *,
                replace(pg_get_triggerdef(pg_trigger.oid), format(' ON %s ', relation::regclass), format(' ON %s ', known_as)) as statement
            from pg_trigger
            where tgrelid = relation and not tgisinternal and tgparentid = 0
        ),

        rules as (
            select *
            from pg_rewrite
            where ev_class = relation and rulename != '_RETURN'
        ),

        policies as (
            select
                *,
                format(
                    'for %s to %s%s%s',
                    case polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
                    (
                        select string_agg(case role when 0 then 'public' else quote_ident(pg_get_userbyid(role)) end, ', ' order by role)
                        from unnest(polroles) as role
                    ),
                    ' using (' || pg_get_expr(polqual, polrelid) || ')',
                    ' with check (' || pg_get_expr(polwithcheck, polrelid) || ')'
                ) as definition
            from pg_policy
        ),

        statistics as (
            select
                *,
                format('%I.%I', (select nspname from pg_namespace where oid = stxnamespace), stxname) as own_name
            from pg_statistic_ext
            where stxrelid = relation
        ),

        grants as (
            select
                null::name as attribute,
                privilege_type as privilege,
                given.*
            from tables, aclexplode(relacl) as given
            where given.grantee != relowner
            union all
            select
                attname,
                format('%s (%I)', privilege_type, attname),
                given.*
            from columns, aclexplode(attacl) as given
            where given.grantee != (select relowner from tables)
        ),

        commented as (
            select 'pg_class'::regclass as catalog, 0::oid as oid, null::name as attribute, noun as noun, known_as as named, description
            from tables
            inner join pg_description on pg_description.objoid = tables.oid and objsubid = 0 and classoid = 'pg_class'::regclass
            union all
            select 'pg_class'::regclass, 0, attname, 'column', format('%s.%I', known_as, attname), description
            from columns
            inner join pg_description on objoid = attrelid and objsubid = attnum and classoid = 'pg_class'::regclass
            union all
            select 'pg_constraint'::regclass, oid, null, 'constraint', format('%I on %s', conname, known_as), null
            from constraints
            where not is_own
            union all
            select 'pg_class'::regclass, oid, null, 'index', own_name, null
            from indexes
            where not is_own
            union all
            select 'pg_trigger'::regclass, oid, null, 'trigger', format('%I on %s', tgname, known_as), null
            from triggers
            union all
            select 'pg_rewrite'::regclass, oid, null, 'rule', format('%I on %s', rulename, known_as), null
            from rules
            union all
            select 'pg_policy'::regclass, oid, null, 'policy', format('%I on %s', polname, known_as), null
            from policies
            where polrelid = relation
            union all
            select 'pg_statistic_ext'::regclass, oid, null, 'statistics', own_name, null
            from statistics
        ),

        {# The order is that of the statements: indexes before what needs one, row level security when its policies exist. -#}
        properties (place, kind, object, definition, statement, as_role, attribute, is_own) as (
            select
                1, 'owner', pg_get_userbyid(relowner), null,
                format('alter table %s owner to %I', known_as, pg_get_userbyid(relowner)), null::name, null::name, false
            from tables

            union all
            select
                2, case when left(key_value, 6) = 'toast.' or noun = 'table' then 'storage parameter' else 'option' end, key_value, null,
                format('alter table %s set (%s)', known_as, key_value), null, null, false
            from tables
            cross join lateral (
                select unnest(reloptions) as key_value
                union all
                select 'toast.' || unnest(toast.reloptions) from pg_class as toast where toast.oid = tables.reltoastrelid
            ) as options
            union all
            select
                3, 'tablespace', spcname, null, format('alter table %s set tablespace %I', known_as, spcname), null, null, false
            from tables
            inner join pg_tablespace on reltablespace = pg_tablespace.oid
            union all
            select
                3, 'access method', amname, null, format('alter table %s set access method %I', known_as, amname), null, null, false
            from tables
            inner join pg_am on relam = pg_am.oid
            where amname != 'heap'

            union all
            select
                4, 'statistics target of the column', attname, null,
                format('alter table %s alter column %I set statistics %s', known_as, attname, attstattarget), null, attname, false
            from columns
            where attstattarget >= 0
            union all
            select
                4, 'storage of the column', attname, null,
                format(
                    'alter table %s alter column %I set storage %s', known_as, attname,
                    case attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end
                ),
                null, attname, false
            from columns
            inner join pg_type on atttypid = pg_type.oid
            where attstorage != typstorage
            union all
            select
                4, 'compression of the column', attname, null,
                format(
                    'alter table %s alter column %I set compression %s', known_as, attname,
                    case attcompression when 'p' then 'pglz' when 'l' then 'lz4' else attcompression::text end
                ),
                null, attname, false
            from columns
            where attcompression != ''
            union all
            select
                4, 'option of the column', format('%s (%s)', attname, option), null,
                format('alter table %s alter column %I set (%s)', known_as, attname, option), null, attname, false
            from columns, unnest(attoptions) as option
            union all
            select
                0, case when attidentity != '' then 'identity column' else 'generated column' end, attname, null,
                attidentity::text || attgenerated::text, null, attname, false
            from columns
            where attidentity != '' or attgenerated != ''
            union all
            select
                5, 'not null of the column', attname, attname,
                coalesce(
                    {# From PostgreSQL 18 on it has a name. #}
                    (
                        select format('alter table %s add constraint %I not null %I', known_as, conname, attname)
                        from constraints
                        where contype = 'n' and attnum = any(conkey)
                    ),
                    format('alter table %s alter column %I set not null', known_as, attname)
                ),
                null, attname,
                exists (
                    select
                    from constraints
                    where constraints.is_own and attnum = any(conkey) and contype in ('n', 'p')
                )
            from columns
            where attnotnull and attidentity = ''
            union all
            select
                case when contype != 'f' then 7 when confrelid != relation then 8 else 9 end,
                'constraint', conname, constraints.definition,
                format(
                    'alter table %s add constraint %I %s', known_as,
                    case when contype in ('p', 'u', 'x') then coalesce(alias || conindid, conname) else conname end,
                    constraints.definition
                ),
                null, null, is_own
            from constraints
            where contype not in ('n', 't')
            union all
            select
                6, 'index', relname, unique_or_not || indexes.definition,
                format('create %sindex %I on %s %s', unique_or_not, coalesce(alias || oid, relname), known_as, indexes.definition),
                null, null, is_own
            from indexes
            where not is_of_constraint

            union all
            select
                9, given.kind, given.object, own_key || ' ' || given.value,
                format('alter index %s %s', coalesce('{index ' || own_key || '}', indexes.own_name), given.change),
                null, null, is_own and own_key is null
            from indexes
            cross join lateral (
                select 'tablespace of the index' as kind, relname::text as object, spcname::text as value, format('set tablespace %I', spcname) as change
                from pg_tablespace
                where pg_tablespace.oid = indexes.reltablespace
                union all
                select
                    'statistics target of the index', relname, format('%s %s', attnum, attstattarget),
                    format('alter column %s set statistics %s', attnum, attstattarget)
                from pg_attribute
                where attrelid = indexes.oid and attstattarget >= 0
                union all
                {# Of another one it is in the definition. #}
                select 'option of the index', format('%s (%s)', relname, key_value), key_value, format('set (%s)', key_value)
                from unnest(indexes.reloptions) as key_value
                where own_key is not null
            ) as given
            union all
            select
                9, 'cluster mark', relname, 'cluster mark ' || own_key,
                format('alter table %s cluster on %s', known_as, coalesce('{index ' || own_key || '}', quote_ident(relname))), null, null, false
            from indexes
            where indisclustered
            union all
            select
                10, 'replica identity', coalesce(index_name, relreplident::text), 'replica identity ' || own_key,
                format(
                    'alter table %s replica identity %s', known_as,
                    case relreplident
                        when 'f' then 'full'
                        when 'n' then 'nothing'
                        else 'using index ' || coalesce('{index ' || own_key || '}', quote_ident(index_name))
                    end
                ),
                null, null, false
            from tables
            left join (select relname as index_name, own_key from indexes where indisreplident) as identity on true
            {# An index may have been dropped with the identity. #}
            where noun = 'table' and relreplident != 'd' and (relreplident != 'i' or index_name is not null)
            union all
            select
                9, 'statistics object', stxname, null,
                left(pg_get_statisticsobjdef(oid), -length(relation::regclass::text)) || known_as, null, null, false
            from statistics
            union all
            select
                10, 'owner of the statistics object', stxname, null,
                format('alter statistics %s owner to %I', statistics.own_name, pg_get_userbyid(stxowner)), null, null, false
            from statistics
            union all
            select
                10, 'target of the statistics object', stxname, null,
                format('alter statistics %s set statistics %s', statistics.own_name, stxstattarget), null, null, false
            from statistics
            where stxstattarget >= 0
            union all
            select
                10, 'owned sequence', sequences.oid::regclass::text, null,
                format('alter sequence %s owned by %s.%I', sequences.oid::regclass, known_as, attname), null, attname, false
            from columns
            inner join pg_depend on refclassid = 'pg_class'::regclass and refobjid = attrelid and refobjsubid = attnum
            inner join pg_class as sequences on classid = 'pg_class'::regclass and objid = sequences.oid
            where deptype = 'a' and relkind = 'S'
            union all
            select
                11, 'default of the column', attname, null,
                format('alter table %s alter column %I set default %s', known_as, attname, pg_get_expr(adbin, adrelid)),
                null, attname, false
            from columns
            inner join pg_attrdef on attrelid = adrelid and attnum = adnum
            where attgenerated = '' and attidentity = ''
            union all
            select 12, 'trigger', tgname, null, triggers.statement, null, null, false
            from triggers
            union all
            select
                13, 'trigger', tgname, null,
                format(
                    'alter table %s %s trigger %I', known_as,
                    case tgenabled when 'D' then 'disable' when 'R' then 'enable replica' else 'enable always' end, tgname
                ),
                null, null, false
            from triggers
            where tgenabled != 'O'
            union all
            select 12, 'rule', rulename, null, pg_get_ruledef(oid), null, null, false
            from rules
            union all
            select
                13, 'rule', rulename, null,
                format(
                    'alter table %s %s rule %I', known_as,
                    case ev_enabled when 'D' then 'disable' when 'R' then 'enable replica' else 'enable always' end, rulename
                ),
                null, null, false
            from rules
            where ev_enabled != 'O'
            union all
            select
                14, 'policy', polname, null,
                format(
                    'create policy %I on %s as %s %s', polname, known_as,
                    case when polpermissive then 'permissive' else 'restrictive' end, policies.definition
                ),
                null, null, false
            from policies
            where polrelid = relation
            union all
            select 15, 'row level security', known_as, null, format('alter table %s enable row level security', known_as), null, null, false
            from tables
            where relrowsecurity
            union all
            select 15, 'row level security', known_as, null, format('alter table %s force row level security', known_as), null, null, false
            from tables
            where relforcerowsecurity

            union all
            select
                case when grantor = relowner then 16 else 17 end, 'grant', format('%s to %s', privilege, role_name), null,
                format('grant %s on %s to %s%s', privilege, known_as, role_name, case when is_grantable then ' with grant option' else '' end),
                case when grantor != relowner then pg_get_userbyid(grantor) end, attribute, false
            from tables, grants
            cross join lateral (
                select case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as role_name
            ) as roles
            union all
            select
                16, 'grant', format('%s to its owner', privilege_type), null,
                format('revoke %s on %s from %I', privilege_type, known_as, pg_get_userbyid(relowner)), null, null, false
            from tables, aclexplode(acldefault('r', relowner))
            where grantee = relowner
                and privilege_type not in (
                    select held.privilege_type
                    from aclexplode(coalesce(relacl, acldefault('r', relowner))) as held
                    where held.grantee = relowner
                )

            union all
            select
                18, 'publication', pubname, null,
                format(
                    'alter publication %I add table %s%s%s', pubname, known_as,
                    (
                        select format(' (%s)', string_agg(quote_ident(attname), ', ' order by attnum))
                        from columns
                        where attnum = any(prattrs)
                        having count(*) > 0
                    ),
                    ' where (' || pg_get_expr(prqual, prrelid) || ')'
                ),
                null, null, false
            from pg_publication_rel
            inner join pg_publication on prpubid = pg_publication.oid
            where prrelid = relation
            union all
            select
                18, 'security label', provider, null,
                format(
                    'security label for %I on %s is %L', provider,
                    case when objsubid = 0 then format('%s %s', noun, known_as) else format('column %s.%I', known_as, attname) end, label
                ),
                null, attname, false
            from tables
            inner join pg_seclabel on classoid = 'pg_class'::regclass and objoid = tables.oid
            left join columns on objsubid = attnum
            union all
            select
                19, 'comment', format('%s %s', noun, named), null,
                format('comment on %s %s is %L', noun, named, coalesce(description, obj_description(oid, catalog::text::name))),
                null, attribute, false
            from commented
            where coalesce(description, obj_description(oid, catalog::text::name)) is not null

            {# What other objects make of it: they must not be dropped together with the old version. -#}
            union all
            select
                20, 'foreign key', format('%s on %s', conname, conrelid::regclass), null,
                format('alter table %s drop constraint %I, add constraint %I %s', conrelid::regclass, conname, conname, pg_get_constraintdef(oid)),
                null, null, false
            from pg_constraint
            where contype = 'f' and confrelid = relation and conrelid != relation and conparentid = 0 and not {{ is_own_foreign_key() }}
            union all
            select
                20, 'policy', format('%s on %s', polname, polrelid::regclass), null,
                format('alter policy %I on %s%s', polname, polrelid::regclass, substr(policies.definition, strpos(policies.definition, ' to '))),
                null, null, false
            from policies
            where polrelid != relation
                and exists (
                    select
                    from pg_depend
                    where classid = 'pg_policy'::regclass and objid = policies.oid and refclassid = 'pg_class'::regclass and refobjid = relation
                )
            union all
            {# Through its row type a function cannot move: it would become another function, without its grants. -#}
            select
                case when bool_or(refclassid = 'pg_type'::regclass) then 0 else 20 end,
                'function', pg_proc.oid::regprocedure::text, null,
                case when prokind != 'a' then pg_get_functiondef(pg_proc.oid) end,
                null, null, false
            from tables
            inner join pg_depend
                on refclassid = 'pg_class'::regclass and refobjid = tables.oid
                    or refclassid = 'pg_type'::regclass and refobjid in (
                        reltype, (select typarray from pg_type where pg_type.oid = reltype)
                    )
            inner join pg_proc on classid = 'pg_proc'::regclass and objid = pg_proc.oid
            group by pg_proc.oid, prokind
            union all
            select
                20, 'rule', format('%s on %s', rulename, ev_class::regclass), null,
                regexp_replace(pg_get_ruledef(pg_rewrite.oid), '^CREATE RULE', 'CREATE OR REPLACE RULE'), null, null, false
            from pg_rewrite
            where rulename != '_RETURN'
                and ev_class != relation
                and exists (
                    select
                    from pg_depend
                    where classid = 'pg_rewrite'::regclass and objid = pg_rewrite.oid and refclassid = 'pg_class'::regclass and refobjid = relation
                )

            {# What no statement can move. -#}
            union all
            select
                0, 'inheritance', format('parent %s', inhparent::regclass), null, null, null, null, false
            from pg_inherits
            where inhrelid = relation
            union all
            select
                0, 'inheritance', format('child %s', inhrelid::regclass), null, null, null, null, false
            from pg_inherits
            inner join pg_class as children on inhrelid = children.oid
            where inhparent = relation and not children.relispartition
            union all
            select 0, 'constraint trigger', format('%s on %s', tgname, tgrelid::regclass), null, null, null, null, false
            from pg_trigger
            where tgconstrrelid = relation and tgrelid != relation and not tgisinternal
            union all
            select 0, 'subscription', srsubid::text, null, null, null, null, false
            from pg_subscription_rel
            where srrelid = relation
            union all
            select
                0, 'dependent object', pg_describe_object(classid, objid, objsubid), null, null, null, null, false
            from tables
            inner join pg_depend
                on refclassid = 'pg_class'::regclass and refobjid = tables.oid
                    or refclassid = 'pg_type'::regclass and refobjid in (
                        reltype, (select typarray from pg_type where pg_type.oid = reltype)
                    )
            where deptype not in ('i', 'a')
                and classid not in (
                    'pg_proc'::regclass, 'pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass,
                    'pg_attrdef'::regclass, 'pg_statistic_ext'::regclass, 'pg_publication_rel'::regclass
                )
                and not (classid = 'pg_class'::regclass and objid = tables.oid)
                and deptype not in ('P', 'S')
            union all
            select 0, 'membership', pg_describe_object(refclassid, refobjid, 0), null, null, null, null, false
            from pg_depend
            where classid = 'pg_class'::regclass and objid = relation and refclassid = 'pg_extension'::regclass
        )

        select
            kind,
            object::text,
            coalesce(definition, statement, object)::text,
            statement,
            as_role,
            attribute,
            is_own,
            place
        from properties
        order by place, object, statement;
    end
    $function$;
{%- endmacro %}
