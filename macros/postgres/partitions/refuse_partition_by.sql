{% macro refuse_partition_by(key, value, allowed) -%}
    {{ exceptions.raise_compiler_error(this.identifier ~ ': partition_by' ~ key ~ ' is ' ~ value ~ '; it takes ' ~ allowed ~ '.') }}
{%- endmacro %}
