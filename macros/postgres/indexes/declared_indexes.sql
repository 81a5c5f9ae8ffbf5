{% macro declared_indexes(columns=none) -%}
    {%- set entries = config.get('indexes') or [] -%}
    {%- if entries is string or entries is mapping -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ": indexes is '" ~ entries ~ "'; it takes a list of entries, such as [{'columns': ['user_id']}]."
        ) }}
    {%- endif -%}
    {%- if entries and model.config.materialized not in materializations_with_indexes() -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': indexes is given and materialized is ' ~ model.config.materialized ~ '; indexes take '
            ~ materializations_with_indexes() | join(', ') ~ '.'
        ) }}
    {%- endif -%}
    {%- set declared = [] -%}
    {%- for entry in entries -%}
        {%- do declared.append(declared_index(entry, loop.index, columns)) -%}
    {%- endfor -%}
    {%- set key_index = index_of_unique_key(declared, columns) -%}
    {%- set taken = [key_index.name] if key_index else [] -%}
    {%- for index in declared -%}
        {%- if index.name in taken -%}
            {%- do raise_index_error(loop.index, 'name', index.name, 'a name that no other index has; give one of the two a name') -%}
        {%- endif -%}
        {%- do taken.append(index.name) -%}
    {%- endfor -%}
    {{ return(([key_index] if key_index else []) + declared) }}
{%- endmacro %}


{% macro materializations_with_indexes() -%}
    {{ return(['table', 'incremental', 'materialized_view', 'snapshot', 'seed']) }}
{%- endmacro %}
