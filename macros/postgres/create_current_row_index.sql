{% macro create_current_row_index() -%}
    {#- A post-hook of snapshots: whatever runs beside it, a key cannot get two current rows. -#}
    create unique index if not exists {{ adapter.quote(this.identifier ~ '_current') }}
    on {{ this }} ({{ config.get('unique_key') }})
    where dbt_valid_to = {{ config.get('dbt_valid_to_current') }}
{%- endmacro %}
