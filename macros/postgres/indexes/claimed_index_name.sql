{% macro claimed_index_name(name) -%}
    {#-
        Names are unique in a schema. Indexes of this model's old table are renamed; if another object has the name, the new
        index gets another one.
    -#}
    {%- set query -%}
        select
            oid::bigint as index_oid,
            starts_with(
                substr(coalesce(obj_description(oid, 'pg_class'), ''), 37),
                {{ postgres_escape_comment(' of ' ~ this.schema ~ '.' ~ this.identifier ~ ':') }}
            ) as is_ours
        from pg_class
        where relnamespace = to_regnamespace('{{ adapter.quote(this.schema) }}')
            and relname = {{ postgres_escape_comment(name) }}
    {%- endset -%}
    {%- set holder = run_query(query) -%}
    {%- if not holder -%}
        {{ return(name) }}
    {%- elif holder[0]['is_ours'] -%}
        {%- if is_in_transaction() -%}
            {%- do lock_out_maintenance(
                'array(select indrelid from pg_index where indexrelid = ' ~ holder[0]['index_oid'] ~ ')',
                'could not be rebuilt'
            ) -%}
        {%- endif -%}
        {%- do run_query(
            'alter index ' ~ adapter.quote(this.schema) ~ '.' ~ adapter.quote(name)
            ~ ' rename to ' ~ adapter.quote(index_name(name, '_old_' ~ holder[0]['index_oid']))
        ) -%}
        {{ return(name) }}
    {%- endif -%}
    {%- set other_name = index_name(name, '_' ~ local_md5(this.schema ~ '.' ~ this.identifier ~ ' ' ~ name)[:8]) -%}
    {%- do log(this.identifier ~ ': the index name ' ~ name ~ ' is taken; using ' ~ other_name ~ '.', info=true) -%}
    {{ return(claimed_index_name(other_name)) }}
{%- endmacro %}
