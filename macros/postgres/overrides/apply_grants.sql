{% macro postgres__apply_grants(relation, grant_config, should_revoke=true) -%}
    {#-
        dbt's own fails if a role is missing, and revokes what an administrator granted. The roles of the warehouse need not exist, and
        where the configuration names no other, only theirs are revoked.
    -#}
    {%- if grant_config -%}
        {%- set own = roles_of_warehouse() -%}
        {%- set named = grant_config.values() | sum(start=[]) -%}
        {%- set missing = missing_roles(named | select('in', own) | unique | list) -%}
        {%- set wanted = {} -%}
        {%- for privilege, grantees in grant_config.items() -%}
            {%- do wanted.update({privilege: grantees | reject('in', missing) | list}) -%}
        {%- endfor -%}
        {%- set current = adapter.standardize_grants_dict(run_query(get_show_grant_sql(relation))) if should_revoke else {} -%}
        {%- set revocable = {} -%}
        {%- for privilege, grantees in current.items() -%}
            {%- do revocable.update({privilege:
                grantees if named | reject('in', own) | list else grantees | select('in', own) | list if privilege in wanted else []
            }) -%}
        {%- endfor -%}
        {%- set statements = get_dcl_statement_list(relation, diff_of_two_dicts(revocable, wanted), get_revoke_sql)
            + get_dcl_statement_list(relation, diff_of_two_dicts(wanted, current), get_grant_sql) -%}
        {%- if statements -%}
            {%- do call_dcl_statements(statements) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
