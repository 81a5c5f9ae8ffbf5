{% macro raise_index_error(number, key, value, takes) -%}
    {{ exceptions.raise_compiler_error(
        this.identifier ~ ': in entry ' ~ number ~ ' of indexes ' ~ key ~ " is '" ~ value ~ "'; it takes " ~ takes ~ '.'
    ) }}
{%- endmacro %}
