{% macro regclass_of(relation) -%}
    to_regclass('{{ (relation | string).replace("'", "''") }}')
{%- endmacro %}
