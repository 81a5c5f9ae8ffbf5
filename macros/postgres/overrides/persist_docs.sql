{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {#- dbt's own macro writes every comment in every run, and reads the columns twice. -#}
    {%- set comment = model.description if for_relation and config.persist_relation_docs() and model.description -%}
    {%- set columns = model.columns if for_columns and config.persist_column_docs() else {} -%}
    {%- if comment or columns -%}
        {%- set found = run_query(
            "select obj_description(oid, 'pg_class') as comment, (select json_object_agg(attname, coalesce(col_description(attrelid, attnum), ''))"
            ~ ' from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped) as columns from pg_class where oid = '
            ~ regclass_of(relation)
        )[0] -%}
        {%- set comments = fromjson(found['columns'] or '{}') -%}
        {%- set changed = [] -%}
        {%- if comment and comment != found['comment'] -%}
            {%- do changed.append(alter_relation_comment(relation, comment)) -%}
        {%- endif -%}
        {%- for name, column in validate_doc_columns(relation, columns, comments.keys() | list).items() -%}
            {%- set name = name if name in comments else name | lower -%}
            {%- if column.description != comments[name] -%}
                {%- do changed.append(
                    'comment on column ' ~ relation ~ '.' ~ adapter.quote(name) ~ ' is ' ~ postgres_escape_comment(column.description) ~ ';'
                ) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if changed -%}
            {%- do run_query(changed | join('\n')) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
