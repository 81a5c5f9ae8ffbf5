{% macro roles_of_warehouse() -%}
    {{ return([
        'warehouse_owner', 'warehouse_loader', 'warehouse_transformer', 'warehouse_analyst', 'warehouse_engineer', 'warehouse_privacy_officer',
        'warehouse_monitor', 'warehouse_backup'
    ]) }}
{%- endmacro %}


{% macro missing_roles(names) -%}
    {{ return(
        run_query(
            'select named.role_name from unnest(array[' ~ quoted_texts(names) ~ ']) as named (role_name)'
            ~ ' where not exists (select from pg_roles where rolname = named.role_name)'
        ).columns[0].values() | list if names else []
    ) }}
{%- endmacro %}
