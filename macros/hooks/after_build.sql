{% macro after_build() -%}
    {%- if execute and model.config.materialized in materializations_with_indexes() -%}
        {%- set found = read_together(state_after_build()) -%}
        {%- do reconcile_indexes(found.indexes) -%}
        {%- do analyze_changed(found.relations) -%}
    {%- endif -%}
{%- endmacro %}
