{% macro before_build() -%}
    {#- Checks come first, so that a mistake in the configuration stops before anything is locked or built. -#}
    {%- if execute -%}
        {%- do check_identifier(this.identifier, model.resource_type ~ ' ' ~ model.name ~ ': its alias') -%}
        {%- do check_identifier(this.schema, model.resource_type ~ ' ' ~ model.name ~ ': its schema') -%}
    {%- endif -%}
    {%- do check_indexes() -%}
    {%- if config.get('materialized') == 'incremental' and uses_changed_keys() and not config.get('unique_key') -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': the incremental strategy changed_keys needs a unique_key, the column or columns of the grain.'
        ) }}
    {%- endif -%}
    {%- if config.get('materialized') == 'incremental' and uses_changed_keys() -%}
        {%- do check_stock_incremental() -%}
    {%- endif -%}
    {%- if model.resource_type == 'model' -%}
        {%- do apply_partition_by() -%}
    {%- elif execute and (config.get('partition_by') or config.get('retain') is not none) -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': partition_by or retain is set on a ' ~ model.resource_type ~ '; only models take them.'
        ) }}
    {%- endif -%}
    {%- if model.resource_type == 'snapshot' -%}
        {%- do check_snapshot_columns() -%}
        {%- do prepare_snapshot() -%}
    {%- endif -%}
    {%- if not is_left_alone() and writes_rows_of_keys() %}
    {{ lock_model() }};
    {{ use_utc() }}
    {%- endif -%}
{%- endmacro %}
