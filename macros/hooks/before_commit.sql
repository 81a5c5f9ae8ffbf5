{% macro before_commit() -%}
    {%- do exclude_overlaps(this) -%}
    {%- do warn_of_default_partition() -%}
    {%- do check_exclusions() -%}
    {%- do check_loss() -%}
    {%- do check_known_values() -%}
    {%- do check_needed_rows() -%}
    {%- do prepare_publication() -%}
    {%- set statements = audit_written_rows() + audit_left_out_tests() -%}
    {#- A materialized view watches its upstreams in any folder. -#}
    {%- if uses_changed_keys()
        or execute and (writes_rows_of_keys() or config.get('materialized') == 'materialized_view' or model.resource_type == 'snapshot')
        and has_asked_for_keys() -%}
        {%- do statements.append(advance_watermarks() | trim) -%}
    {%- endif -%}
    {%- if has_statistics() and not is_left_alone() -%}
        {%- do statements.append(flush_statistics() | trim) -%}
    {%- endif -%}
    {#- PostgreSQL refuses an empty statement. -#}
    {{ statements | select | join(';\n') }}
{%- endmacro %}
