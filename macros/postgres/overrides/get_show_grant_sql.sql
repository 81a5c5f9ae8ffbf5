{% macro postgres__get_show_grant_sql(relation) -%}
    {%- if not relation.is_materialized_view -%}
        {{ return(dbt.postgres__get_show_grant_sql(relation)) }}
    {%- endif -%}
    {#- dbt's own macro queries information_schema, which does not list materialized views. -#}
    select
        pg_get_userbyid(grantee) as grantee,
        privilege_type
    from pg_class, aclexplode(relacl)
    where pg_class.oid = {{ regclass_of(relation) }}
        and grantee not in (0, relowner)
        and pg_get_userbyid(grantor) = current_role
{%- endmacro %}
