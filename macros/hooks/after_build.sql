{% macro after_build() -%}
    {%- if execute and model.config.materialized in materializations_with_indexes() -%}
        {%- set found = read_together(state_after_build()) -%}
        {%- if has_reconciled_indexes(found.indexes) -%}
            {%- do found.update(read_together({'constraints': query_of_constraints()})) -%}
        {%- endif -%}
        {%- do reconcile_constraints(found.constraints) -%}
        {%- do analyze_changed(found.relations) -%}
    {%- endif -%}
{%- endmacro %}
