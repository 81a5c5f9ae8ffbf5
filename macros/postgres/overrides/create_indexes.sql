{% macro postgres__create_indexes(relation) -%}
    {#- Not dbt's loop over the configuration, which does not know the index of unique_key. -#}
    {%- for index in declared_indexes(columns_to_index(relation)) -%}
        {%- do run_query(create_index(relation, index)) -%}
    {%- endfor -%}
    {%- if model.resource_type == 'model' and config.get('incremental_strategy') == 'changed_keys' and config.get('unique_key') -%}
        {%- do run_query(check_key_is_not_null(relation, config.get('unique_key'))) -%}
    {%- endif -%}
    {%- if primary_key_of_contract() -%}
        {%- do run_query(add_primary_key(relation)) -%}
    {%- endif -%}
    {%- do exclude_overlaps(relation) -%}
    {%- do mark_constraints(relation) -%}
{%- endmacro %}
