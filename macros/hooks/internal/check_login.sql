{% macro check_login() -%}
    {#- As the commands do before they write. Only they know the password. -#}
    {%- if execute and target.name == 'prod' -%}
        {#- The embedded server has this name; its socket is open to the user who started it. -#}
        {%- set login = run_query(
            "select quote_ident(session_user), (select bool_or(rolsuper) from pg_roles where rolname in (current_user, session_user)),"
            ~ " system_user is null, inet_server_addr() is null and current_setting('cluster_name') ~ '^warehouse-[0-9a-f]{12}$'"
        ).rows[0] -%}
        {%- set reasons = [] -%}
        {%- if login[1] -%}
            {%- do reasons.append('It is a superuser, so that the SQL of a model may do anything on the server.') -%}
        {%- endif -%}
        {%- if login[2] -%}
            {%- do reasons.append('The server lets it in without a password.') -%}
        {%- endif -%}
        {%- if reasons and not login[3] and env_var('WAREHOUSE_ACCEPT_UNSAFE_LOGIN', '') != '1' -%}
            {%- do exceptions.raise_compiler_error(
                'Refused the login of the user ' ~ login[0] ~ ' in the target prod. ' ~ reasons | join(' ') ~ ' docs/adapting.md, step 1, says which'
                ~ ' login to use. To accept it all the same, set WAREHOUSE_ACCEPT_UNSAFE_LOGIN=1.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
