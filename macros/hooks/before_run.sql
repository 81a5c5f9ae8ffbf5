{% macro before_run() -%}
    {#- Each call is a transaction of its own. The log of retention needs the schema of the incremental state. -#}
    {%- do check_server_version() -%}
    {%- do check_login() -%}
    {%- if execute and flags.WHICH in ['build', 'run', 'seed', 'snapshot'] -%}
        {%- do check_variables() -%}
        {%- do check_end_of_run() -%}
        {%- do check_tests() -%}
        {%- do check_sources() -%}
        {%- do check_retain_of_sources() -%}
    {%- endif -%}
    {%- do check_time_zone() -%}
    {%- do run_or_stop(check_schemas_of_run()) -%}
    {%- do run_or_stop(create_incremental_state()) -%}
    {%- do run_or_stop(create_audit_state()) -%}
    {%- do run_or_stop(create_partition_schema()) -%}
    {%- do run_or_stop(create_retention_log()) -%}
    {%- do run_or_stop(create_partition_bounds()) -%}
    {%- do run_or_stop(create_clv_parameters()) -%}
    {%- do run_or_stop(create_run_state()) -%}
    {%- do run_or_stop(create_publication_state()) -%}
    {%- if execute and has_pseudonym_key() -%}
        {%- do run_or_stop(create_pseudonym_functions()) -%}
    {%- endif -%}
    {%- do run_or_stop(create_privacy_state()) -%}
    {%- if execute and flags.WHICH in ['build', 'run', 'snapshot'] -%}
        {%- do erase_loaded_rows() -%}
    {%- endif -%}
    {%- do run_or_stop(grants_of_schemas()) -%}
    {%- if execute and flags.WHICH in ['build', 'run', 'snapshot'] -%}
        {%- do check_volumes() -%}
    {%- endif -%}
{%- endmacro %}
