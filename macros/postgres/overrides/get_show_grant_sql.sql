{% macro postgres__get_show_grant_sql(relation) -%}
    {#- dbt's own macro queries information_schema, which does not list materialized views, and calls everybody "PUBLIC". -#}
    select
        case when grantee = 0 then 'public' else pg_get_userbyid(grantee) end as grantee,
        privilege_type
    from pg_class, aclexplode(relacl)
    where pg_class.oid = {{ regclass_of(relation) }}
        and grantee != relowner
        and grantor = relowner
{%- endmacro %}
