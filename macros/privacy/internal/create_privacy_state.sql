{% macro create_privacy_state() -%}
    {#- The same in every target: like schema raw, the ledger belongs to the application's data, not to a build. -#}
    {%- set rights = ['select', 'insert', 'update'] -%}
    select pg_advisory_xact_lock(hashtext('privacy.state'));
    {%- set erasures = privacy_relation('erasures') -%}
    {%- set definition %}
    create table {{ erasures }} (
        erasure_id text primary key,
        erased_at timestamptz not null,
        erased_by text not null,
        reason text not null,
        person_count bigint not null
    );
    comment on table {{ erasures }} is 'One row per run of `warehouse erase` that erased somebody. It names nobody.';
    {%- endset %}
    {{ create_table_if_missing(erasures, definition, rights) }}

    {%- set keys = privacy_relation('erased_keys') -%}
    {%- set definition %}
    create table {{ keys }} (
        identifier text not null,
        pseudonym text not null,
        erasure_id text not null,
        primary key (identifier, pseudonym)
    );
    comment on table {{ keys }} is 'The ledger: the keys of erased persons as HMAC-SHA256 with the secret key.';
    {%- endset %}
    {{ create_table_if_missing(keys, definition, rights) }}

    {%- set rows = privacy_relation('erased_rows') -%}
    {%- set definition %}
    create table {{ rows }} (
        erasure_id text not null,
        target text not null,
        relation text not null,
        row_count bigint not null,
        erased_at timestamptz not null,
        primary key (erasure_id, target, relation)
    );
    comment on table {{ rows }} is 'The certificate of an erasure: how many rows of each relation it changed.';
    {%- endset %}
    {{ create_table_if_missing(rows, definition, rights) }}

    {%- set steps = privacy_relation('erasure_steps') -%}
    {%- set definition %}
    create table {{ steps }} (
        erasure_id text not null,
        target text not null,
        step text not null,
        done_at timestamptz not null,
        primary key (erasure_id, target, step)
    );
    comment on table {{ steps }} is 'What is done of an erasure in a target: rows, archive, vacuum.';
    {%- endset %}
    {{ create_table_if_missing(steps, definition, rights) }}

    {%- set holds = privacy_relation('legal_holds') -%}
    {%- set definition %}
    create table {{ holds }} (
        user_id text not null,
        reason text not null,
        held_by text not null,
        held_at timestamptz not null,
        released_at timestamptz,
        released_by text,
        primary key (user_id, held_at)
    );
    comment on table {{ holds }} is 'Persons who must not be erased, and why. Personal data.';
    {%- endset %}
    {{ create_table_if_missing(holds, definition, rights + ['delete']) }}

    {%- set checks = privacy_relation('ledger_checks') -%}
    {%- set definition %}
    create table {{ checks }} (
        relation text primary key,
        storage text not null,
        checked_through timestamptz not null
    );
    comment on table {{ checks }} is 'How far the rows of a raw table were compared with the ledger.';
    {%- endset %}
    {{ create_table_if_missing(checks, definition, rights) }}

    {%- set trail = privacy_relation('audit_trail') -%}
    {%- set definition %}
    create table {{ trail }} (
        entry_number bigint primary key,
        recorded_at timestamptz not null,
        actor text not null,
        action text not null,
        details jsonb not null,
        digest text not null
    );
    comment on table {{ trail }} is 'What was done with personal data. Append-only; each digest covers the one before it.';
    {%- endset %}
    {{ create_table_if_missing(trail, definition, ['select', 'insert']) }}

    {%- set sources = privacy_relation('sources') -%}
    {%- set definition %}
    create table {{ sources }} (
        relation text primary key,
        source jsonb not null
    );
    comment on table {{ sources }} is 'The raw tables with keys of persons, and how to erase their rows; for `warehouse load`.';
    {%- endset %}
    {{ create_table_if_missing(sources, definition, rights + ['delete']) }}
    create temporary table given_sources on commit drop as
    select source ->> 'relation' as relation, source from jsonb_array_elements({{ privacy_sources() }}) as source;
    delete from {{ sources }} where relation not in (select relation from given_sources);
    insert into {{ sources }} (relation, source)
    select relation, source from given_sources
    on conflict (relation) do update set source = excluded.source where sources.source is distinct from excluded.source;
    {{ create_erasure_functions() }}
{%- endmacro %}
