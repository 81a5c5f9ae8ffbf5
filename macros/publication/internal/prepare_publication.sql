{% macro prepare_publication() -%}
    {#-
        In the transaction of a candidate view: its table exists and has its columns. A table that readers have already is filled at
        once, because they read it before the run ends; a new one stays empty until the first publication.
    -#}
    {%- if execute and is_candidate(model) -%}
        {%- set table = published(this) -%}
        {%- set key = as_list(config.get('unique_key')) -%}
        {%- if not key or table == this -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ ' is published, and needs a unique_key and an alias that begins with next_: the table of the remaining name is what'
                ~ ' readers see. Got the alias ' ~ this.identifier ~ ' and the unique_key ' ~ (key | join(', ') or 'none') ~ '.'
            ) }}
        {%- endif -%}
        {%- set reader = api.Relation.create(schema=generate_schema_name('reporting', none), identifier=table.identifier) -%}
        {%- set found = run_query(
            'select ' ~ regclass_of(table) ~ '::oid as oid, ' ~ has_columns_of(table, this) ~ ' as fits, '
            ~ regclass_of(reader) ~ ' is not null as is_read'
        )[0] -%}
        {%- if not (found['oid'] and found['fits']) -%}
            {%- if found['oid'] -%}
                {#- In short attempts, because new readers wait behind it. -#}
                {%- call statement('rename') -%}
                    {{ try_patiently(
                        'alter table ' ~ table ~ ' rename to ' ~ adapter.quote(name_before(found['oid'])),
                        'the columns of ' ~ table ~ ' could not be changed', table
                    ) }}
                {%- endcall -%}
            {%- endif -%}
            {%- call statement('publication') -%}
                create table {{ table }} as select * from {{ this }} {{ 'with no data' if not found['is_read'] }};
                create unique index on {{ table }} ({% for column in key %}{{ adapter.quote(column) }}{{ ', ' if not loop.last }}{% endfor %});
                comment on table {{ table }} is {{ postgres_escape_comment('What ' ~ reader ~ ' shows: ' ~ model.name ~ ' as it was last published.') }}
            {%- endcall -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro is_candidate(node) -%}
    {{ return(node.resource_type == 'model' and node.fqn[1] == 'published') }}
{%- endmacro %}


{% macro name_before(oid) -%}
    {{ return('before_' ~ oid) }}
{%- endmacro %}


{% macro has_columns_of(table, candidate) -%}
    {#- SQL for: the table has the columns of the view, of the same types. -#}
    not exists (
        select
        from (select * from pg_attribute where attrelid = {{ regclass_of(table) }} and attnum > 0 and not attisdropped) as held
        full join (select * from pg_attribute where attrelid = {{ regclass_of(candidate) }} and attnum > 0) as wanted
            on held.attname = wanted.attname and held.atttypid = wanted.atttypid and held.atttypmod = wanted.atttypmod
        where held.attname is null or wanted.attname is null
    )
{%- endmacro %}
