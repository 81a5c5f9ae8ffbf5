{% macro check_snapshot_columns() -%}
    {#- dbt would store null in such a column from now on, and what it stored before cannot be rebuilt. -#}
    {%- set relation = load_relation(this) if execute -%}
    {%- if relation -%}
        {%- set meta_columns = config.get('snapshot_table_column_names') or get_snapshot_table_column_names() -%}
        {%- set selected = get_columns_in_query(model.compiled_code) -%}
        {%- set lost, replacements = [], [] -%}
        {%- for column in adapter.get_columns_in_relation(relation) if column.name not in selected and column.name not in meta_columns.values() -%}
            {%- do lost.append(column.name) -%}
            {%- do replacements.append('null::' ~ column.data_type ~ ' as ' ~ column.quoted) -%}
        {%- endfor -%}
        {%- if lost -%}
            {{ exceptions.raise_compiler_error(
                this.identifier ~ ': its table stores ' ~ lost | join(', ') ~ ', which its query does not select, so that new states would store null.'
                ~ ' Select the columns in ' ~ model.depends_on.nodes | map('replace', 'model.' ~ model.package_name ~ '.', '') | join(', ')
                ~ '; to stop storing them, select ' ~ replacements | join(', ') ~ ' there.'
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
