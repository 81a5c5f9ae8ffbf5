{% macro pseudonym(column, purpose) -%}
    privacy.pseudonym({{ column }}::{{ text_type() }}, '{{ purpose }}')
{%- endmacro %}


{% macro has_pseudonym_key() -%}
    {{ return(run_query("select coalesce(current_setting('warehouse.pii_pads', true), '') != ''")[0][0]) }}
{%- endmacro %}


{% macro create_pseudonym_functions() -%}
    {#-
        HMAC-SHA256 is sha256(outer pad || sha256(inner pad || message)). The pads are the key XOR 5c... and 36..., and come with the
        session, as version:inner:outer of the current key, then of each older one: they are in no SQL text, which PostgreSQL and dbt log.
        Each function is a single expression, which PostgreSQL puts into the query instead of a call. As a body of the SQL standard, it
        binds its names when it is created, so that the search_path of a caller does not matter.
    -#}
    {%- set pads = "current_setting('warehouse.pii_pads', true)" -%}
    {%- set no_key -%}
        privacy.refuse_pseudonym(
            'This session has no key for pseudonyms: its setting warehouse.pii_pads is missing or malformed. The command warehouse gives it to builds.'
        )
    {%- endset -%}
    {%- set no_version -%}
        privacy.refuse_pseudonym(
            'This session has no key for pseudonyms of version ' || coalesce(version::text, 'null') || ': its setting warehouse.pii_pads lacks it.'
        )
    {%- endset -%}
    {%- set message -%}
        convert_to(
            case
                when purpose ~ '^[a-z][a-z0-9_]*$' then purpose
                else privacy.refuse_pseudonym(
                    'The purpose of a pseudonym is ' || coalesce(quote_literal(purpose), 'null')
                    || '; it takes lower-case letters, digits and _, and begins with a letter.'
                )
            end || ':' || value,
            'UTF8'
        )
    {%- endset -%}
    {%- set of_current = {'inner': "split_part(" ~ pads ~ ", ':', 2)", 'outer': "split_part(" ~ pads ~ ", ':', 3)"} -%}
    {#- Only a version is shorter than a pad, so that its number between colons is found nowhere else. -#}
    {%- set after_version = "split_part(':' || " ~ pads ~ ", ':' || version::text || ':', 2)" -%}
    {%- set of_version = {'inner': "split_part(" ~ after_version ~ ", ':', 1)", 'outer': "split_part(" ~ after_version ~ ", ':', 2)"} -%}

    select pg_advisory_xact_lock(hashtext('privacy.pseudonym'));
    do $create$
    declare
        untrusted record;
        definitions constant text := $definitions$
            create or replace function privacy.refuse_pseudonym(reason text)
            returns text language plpgsql stable parallel safe as $body$
            begin
                raise exception '%', reason;
            end
            $body$;

            create or replace function privacy.pseudonym(value text, purpose text)
            returns text language sql stable parallel safe
            return
                'p' || coalesce(nullif(split_part({{ pads }}, ':', 1), ''), {{ no_key }}) || '_'
                || left(encode(sha256(
                    decode(case when octet_length({{ of_current.outer }}) = 128 then {{ of_current.outer }} else {{ no_key }} end, 'hex')
                    || sha256(
                        decode(case when octet_length({{ of_current.inner }}) = 128 then {{ of_current.inner }} else {{ no_key }} end, 'hex')
                        || {{ message }}
                    )
                ), 'hex'), 32);

            create or replace function privacy.pseudonym_of_version(value text, purpose text, version integer)
            returns text language sql stable parallel safe
            return
                'p' || coalesce(version::text, {{ no_version }}) || '_'
                || left(encode(sha256(
                    decode(case when octet_length({{ of_version.outer }}) = 128 then {{ of_version.outer }} else {{ no_version }} end, 'hex')
                    || sha256(
                        decode(case when octet_length({{ of_version.inner }}) = 128 then {{ of_version.inner }} else {{ no_version }} end, 'hex')
                        || {{ message }}
                    )
                ), 'hex'), 32);
        $definitions$;
    begin
        if to_regnamespace('privacy') is null then
            create schema privacy;
        end if;
        -- A role that replaced a function would read the key of who calls it.
        select objects.name, objects.owner::regrole::text as owner into untrusted
        from (
            select 'schema privacy' as name, nspowner as owner from pg_namespace where nspname = 'privacy'
            union all
            select 'function ' || oid::regprocedure, proowner from pg_proc
            where pronamespace = to_regnamespace('privacy')
        ) as objects
        inner join pg_roles on objects.owner = pg_roles.oid
        where
            not pg_roles.rolsuper
            and not pg_has_role(objects.owner, 'usage')
            and objects.owner <> (select datdba from pg_database where datname = current_database())
        limit 1;
        if found then
            raise exception 'The % belongs to the role %, which could read the key of pseudonyms. As an administrator, run: alter % owner to %;',
                untrusted.name, untrusted.owner, untrusted.name, quote_ident(current_role);
        end if;
        if to_regprocedure('privacy.pseudonym_of_version(text, text, integer)') is null
            or obj_description(to_regprocedure('privacy.pseudonym(text, text)'), 'pg_proc') is distinct from 'Definition ' || md5(definitions)
        then
            execute definitions;
            execute format('comment on function privacy.pseudonym(text, text) is %L', 'Definition ' || md5(definitions));
        end if;
    end
    $create$;
{%- endmacro %}
