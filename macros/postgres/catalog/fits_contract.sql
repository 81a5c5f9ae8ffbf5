{% macro fits_contract(relation) -%}
    {#- SQL for: the columns are those of an enforced contract, by name and type. -#}
    {%- if not (config.get('contract') or {}).enforced -%}
        true
    {%- elif not model.columns -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ': its contract is enforced, and declares no columns. Add ' ~ model.name ~ ' with the name and the data_type of each column to a'
            ~ ' .yml file beside it.'
        ) }}
    {%- else -%}
        not exists (
            select
            from (
                values
                {%- for column in model.columns.values() %}
                (
                    {{ postgres_escape_comment(column.name if column.quote else column.name | lower) }},
                    to_regtype({{ postgres_escape_comment(column.data_type or '') }})
                ){{ ',' if not loop.last }}
                {%- endfor %}
            ) as declared (name, type)
            full join (
                select attname::text as name, atttypid as type
                from pg_attribute
                where attrelid = {{ regclass_of(relation) }} and attnum > 0 and not attisdropped
            ) as existing on declared.name = existing.name
            where declared.type is distinct from existing.type
        )
    {%- endif -%}
{%- endmacro %}
