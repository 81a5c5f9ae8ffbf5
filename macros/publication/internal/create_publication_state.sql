{% macro create_publication_state() -%}
    {%- set publications = state_relation('publications') -%}
    select pg_advisory_xact_lock(hashtext('{{ publications }}'));
    {%- set definition %}
    create table {{ publications }} (
        published_at timestamptz primary key,
        invocation_id text not null,
        quality_score numeric,
        rows_written bigint not null
    );
    comment on table {{ publications }} is 'When the tables behind schema reporting were published, each time in one transaction.';
    {%- endset %}
    {{ create_table_if_missing(publications, definition, ['select', 'insert']) }}
{%- endmacro %}
