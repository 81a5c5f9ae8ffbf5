{% macro query_of_constraints() -%}
    {#- What the contract declares, and an existing table lacks. -#}
    {%- set never_null = never_null_columns() -%}
    {%- set key = primary_key_of_contract() -%}
    select
        json_agg(pg_attribute.attname order by pg_attribute.attnum) filter (where pg_attribute.attname is not null) as nullable,
        {%- if key %}
        not exists (select from pg_constraint where conrelid = tables.oid and contype = 'p')
        and exists (select from pg_index where indrelid = tables.oid and {{ can_be_primary_key(key) }}) as lacks_key
        {%- else %}
        false as lacks_key
        {%- endif %}
    from pg_class as tables
    left join pg_attribute
        on tables.oid = pg_attribute.attrelid
            and not pg_attribute.attnotnull
            and pg_attribute.attname in (
                {%- for column in never_null %}{{ postgres_escape_comment(column) }}{{ ', ' if not loop.last }}{% else %}null{% endfor -%}
            )
    where tables.oid = {{ regclass_of(this) }}
    group by tables.oid
{%- endmacro %}


{% macro lacks_constraints(rows) -%}
    {{ return(rows | length > 0 and (rows[0]['nullable'] is not none or rows[0]['lacks_key'])) }}
{%- endmacro %}


{% macro reconcile_constraints(rows) -%}
    {#- Of a table from before the contract declared them: a new table has them from its creation. -#}
    {%- if lacks_constraints(rows) -%}
        {%- set nullable = rows[0]['nullable'] or [] -%}
        {%- do check_existing_rows(nullable) -%}
        {%- set statements, added = [], [] -%}
        {%- for column in nullable -%}
            {%- do added.append(
                "contype = 'n' and conkey[1] = (select attnum from pg_attribute where attrelid = conrelid and attname = "
                ~ postgres_escape_comment(column) ~ ')'
            ) -%}
            {%- do statements.append('alter table ' ~ this ~ ' alter column ' ~ adapter.quote(column) ~ ' set not null') -%}
        {%- endfor -%}
        {%- if rows[0]['lacks_key'] -%}
            {%- do added.append("contype = 'p'") -%}
            {%- do statements.append(add_primary_key(this)) -%}
        {%- endif -%}
        {%- do log(this.identifier ~ ': adding the constraints of the contract.', info=true) -%}
        {%- do run_query(lock_patiently(this, 'the constraints of ' ~ this ~ ' could not be added', statements | join('; '))) -%}
        {%- do mark_constraints(this, added | join(' or ')) -%}
    {%- endif -%}
{%- endmacro %}
