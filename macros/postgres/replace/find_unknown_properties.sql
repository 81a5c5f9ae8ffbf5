{% macro properties_in_catalogs() -%}
    {#-
        Every column of PostgreSQL 16 to 18 that refers to a relation or its columns, and every field of the two themselves.
        "carried": read_properties knows it. "made": the new version has its own, or it describes rows and files. "address": the
        catalog of an object, not the object.
        tests/postgres/test_properties.py compares the list with the catalogs; a build does, too, for what is in use.
    -#}
    {{ return({
        'pg_attrdef.adrelid': 'carried',
        'pg_attribute.attrelid': 'carried',
        'pg_class.reltoastrelid': 'made',
        'pg_class.relrewrite': 'made',
        'pg_constraint.conrelid': 'carried',
        'pg_constraint.confrelid': 'carried',
        'pg_constraint.conindid': 'made',
        'pg_depend.classid': 'address',
        'pg_depend.refclassid': 'address',
        'pg_description.classoid': 'address',
        'pg_foreign_table.ftrelid': 'refused',
        'pg_index.indrelid': 'carried',
        'pg_index.indexrelid': 'made',
        'pg_inherits.inhrelid': 'carried',
        'pg_inherits.inhparent': 'carried',
        'pg_init_privs.classoid': 'address',
        'pg_partitioned_table.partrelid': 'made',
        'pg_partitioned_table.partdefid': 'made',
        'pg_policy.polrelid': 'carried',
        'pg_publication_rel.prrelid': 'carried',
        'pg_rewrite.ev_class': 'carried',
        'pg_seclabel.classoid': 'address',
        'pg_sequence.seqrelid': 'made',
        'pg_shdepend.classid': 'address',
        'pg_shdepend.refclassid': 'address',
        'pg_shdescription.classoid': 'address',
        'pg_shseclabel.classoid': 'address',
        'pg_statistic.starelid': 'made',
        'pg_statistic_ext.stxrelid': 'carried',
        'pg_subscription_rel.srrelid': 'carried',
        'pg_trigger.tgrelid': 'carried',
        'pg_trigger.tgconstrrelid': 'carried',
        'pg_trigger.tgconstrindid': 'made',
        'pg_type.typrelid': 'made',
        'pg_class': {
            'carried': [
                'relowner', 'relam', 'reltablespace', 'relrowsecurity', 'relforcerowsecurity', 'relreplident', 'relispartition', 'relacl',
                'reloptions',
            ],
            'refused': ['reloftype'],
            'made': [
                'oid', 'relname', 'relnamespace', 'reltype', 'relfilenode', 'relpages', 'reltuples', 'relallvisible', 'relallfrozen',
                'reltoastrelid', 'relhasindex', 'relisshared', 'relpersistence', 'relkind', 'relnatts', 'relchecks', 'relhasrules',
                'relhastriggers', 'relhassubclass', 'relispopulated', 'relrewrite', 'relfrozenxid', 'relminmxid', 'relpartbound',
            ],
        },
        'pg_attribute': {
            'carried': [
                'attstattarget', 'attstorage', 'attcompression', 'attnotnull', 'atthasdef', 'attidentity', 'attgenerated', 'attacl',
                'attoptions',
            ],
            'refused': ['attfdwoptions'],
            'made': [
                'attrelid', 'attname', 'atttypid', 'attlen', 'attnum', 'attcacheoff', 'atttypmod', 'attndims', 'attbyval', 'attalign',
                'atthasmissing', 'attisdropped', 'attislocal', 'attinhcount', 'attcollation', 'attmissingval',
            ],
        },
    }) }}
{%- endmacro %}


{% macro create_find_unknown_properties() -%}
    {#- A version of PostgreSQL or an extension may know more than read_properties; then nothing may be replaced. -#}
    {%- set known = properties_in_catalogs() -%}
    {%- set places, fields = [], {} -%}
    {%- for place, treatment in known.items() -%}
        {%- if treatment is mapping -%}
            {%- do fields.update({place: treatment.carried + treatment.made}) -%}
        {%- elif treatment != 'refused' -%}
            {%- do places.append(place) -%}
        {%- endif -%}
    {%- endfor %}
    create or replace function pg_temp.find_unknown_properties(old oid, new oid)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    as $function$
    declare
        place record;
        found text;
    begin
        for place in
            select
                fktable,
                fkcols[1] as fkcolumn
            from pg_get_catalog_foreign_keys()
            where pktable in ('pg_class'::regclass, 'pg_attribute'::regclass)
                and not is_array
                and format('%s.%s', fktable, fkcols[1]) != all('{ {{- places | join(',') -}} }')
        loop
            execute format('select %L where exists (select from %s where %I = $1)', format('an entry in %s', place.fktable), place.fktable, place.fkcolumn)
            into found using old;
            if found is not null then
                return found;
            end if;
        end loop;

        select format('%s = %s in pg_class', key, value)
        into found
        from pg_class
        cross join lateral jsonb_each_text(to_jsonb(pg_class.*) - '{ {{- fields.pg_class | join(',') -}} }'::text[])
        where oid = old
            and value is distinct from (
                select to_jsonb(others.*) ->> key from pg_class as others where others.oid = new
            )
        limit 1;
        if found is not null then
            return found;
        end if;

        select format('%s = %s in pg_attribute', key, value)
        into found
        from pg_attribute
        inner join pg_attribute as others on pg_attribute.attname = others.attname
        cross join lateral jsonb_each_text(to_jsonb(pg_attribute.*) - '{ {{- fields.pg_attribute | join(',') -}} }'::text[])
        where pg_attribute.attrelid = old
            and pg_attribute.attnum > 0
            and others.attrelid = new
            and value is distinct from to_jsonb(others.*) ->> key
        limit 1;
        return found;
    end
    $function$;
{%- endmacro %}
