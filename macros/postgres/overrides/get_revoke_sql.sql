{% macro postgres__get_revoke_sql(relation, privilege, grantees) -%}
    {#- dbt's own macro quotes everybody, as if public were a role, and fails if a grantee has granted the privilege to others. -#}
    {%- set names = [] -%}
    {%- for grantee in grantees -%}
        {%- do names.append('public' if grantee | lower == 'public' else adapter.quote(grantee)) -%}
    {%- endfor -%}
    revoke {{ privilege }} on {{ relation.render() }} from {{ names | join(', ') }} cascade
{%- endmacro %}
