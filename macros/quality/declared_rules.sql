{% macro declared_rules() -%}
    {#- Of all staging models. While dbt parses, the manifest does not have them yet. -#}
    {%- set rules = [] -%}
    {%- for table_name in var('contract_tables') if execute -%}
        {%- for name, rule in rules_of_table(table_name).items() -%}
            {%- do rules.append(dict(rule, table_name=table_name, name=name)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(rules) }}
{%- endmacro %}
