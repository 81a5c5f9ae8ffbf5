{% macro postgres__get_table_columns_and_constraints() -%}
    {#- As dbt's, without the primary key that add_primary_key makes of an index: rows are inserted faster before their indexes. -#}
    {%- set kept = model.constraints | rejectattr('type', 'equalto', 'primary_key') | list if primary_key_of_contract() else model.constraints -%}
    {%- set lines = adapter.render_raw_columns_constraints(raw_columns=model['columns'])
        + adapter.render_raw_model_constraints(raw_constraints=kept) -%}
    (
    {{ lines | join(',\n    ') }}
    )
{%- endmacro %}
