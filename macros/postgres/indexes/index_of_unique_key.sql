{% macro index_of_unique_key(declared, columns=none) -%}
    {#-
        Only of the strategy changed_keys, whose unique_key is the grain of the table. With delete+insert, a key may repeat, as when
        it is the day that a build replaces; a unique index would stop such a build.
    -#}
    {%- set wanted = config.get('unique_key_index') -%}
    {%- if wanted is not none and wanted is not boolean -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ": unique_key_index is '" ~ wanted ~ "'; it takes true (the default), or false to create no index of unique_key."
        ) }}
    {%- endif -%}
    {%- if wanted is false
        or model.config.materialized != 'incremental'
        or config.get('incremental_strategy') != 'changed_keys'
        or not config.get('unique_key') -%}
        {{ return(none) }}
    {%- endif -%}

    {%- set given = config.get('unique_key') -%}
    {%- set keys = [given] if given is string or given is mapping or given is not iterable else given | list -%}
    {%- set names = [] -%}
    {%- for key in keys -%}
        {%- set column = column_of_index(key, columns) if key is string -%}
        {%- if not column -%}
            {{ exceptions.raise_compiler_error(
                this.identifier ~ ": unique_key is '" ~ given ~ "' and there is no column '" ~ key ~ "'; the columns are "
                ~ (columns or ['not known yet']) | join(', ') ~ '.'
            ) }}
        {%- endif -%}
        {%- do names.append(column) -%}
    {%- endfor -%}
    {%- for index in declared if index.unique and not index.where and index['columns'] | sort == names | sort -%}
        {{ return(none) }}
    {%- endfor -%}
    {#- dbt creates other primary keys with the table, with an index of their own. -#}
    {%- for key in keys_of_contract() if key['columns'] | sort == names | sort and not primary_key_of_contract() -%}
        {{ return(none) }}
    {%- endfor -%}
    {%- for field in fields_of_partitions() if field not in names -%}
        {#- PostgreSQL requires them in a unique index. -#}
        {{ return(none) }}
    {%- endfor -%}
    {%- set entry = {'columns': keys, 'unique': true, 'why': 'the key, looked up by builds'} -%}
    {%- set index = declared_index(entry, 0, columns) -%}
    {%- for partial in declared if partial.where and partial.name == index.name and partial['columns'] | sort == names | sort -%}
        {{ return(declared_index(dict(entry, name=index_name(this.identifier, '_unique_key')), 0, columns)) }}
    {%- endfor -%}
    {{ return(index) }}
{%- endmacro %}
