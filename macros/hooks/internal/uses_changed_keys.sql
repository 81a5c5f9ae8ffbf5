{% macro uses_changed_keys() -%}
    {#- Folders set the strategy, so it holds for their views and materialized views as well. -#}
    {{ return(config.get('incremental_strategy') == 'changed_keys') }}
{%- endmacro %}


{% macro writes_rows_of_keys() -%}
    {{ return(uses_changed_keys() or config.get('materialized') == 'incremental') }}
{%- endmacro %}
