{% macro check_rule_joins(relations) -%}
    {%- for table_name in var('contract_tables') if execute -%}
        {%- do joined_by(table_name, rules_of_table(table_name), relations) -%}
    {%- endfor -%}
{%- endmacro %}
