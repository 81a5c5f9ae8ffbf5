{% macro after_build() -%}
    {%- do reconcile_indexes() -%}
    {%- do analyze_changed() -%}
{%- endmacro %}
