{% macro declared_rules() -%}
    {#- Of all staging models. While dbt parses, the manifest does not have them yet. -#}
    {%- set rules = [] -%}
    {%- for table_name in var('contract_tables') if execute -%}
        {%- for name, rule in rules_of_table(table_name).items() -%}
            {%- set joins = [] -%}
            {%- for alias, column in rule.joins.items() -%}
                {%- do joins.append(alias ~ ' by ' ~ column) -%}
            {%- endfor -%}
            {%- do rules.append(dict(
                rule, table_name=table_name, name=name, joined=joins | join(', '),
                personal_columns=columns_of_row(table_name, is_personal=true) | join(',')
            )) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(rules) }}
{%- endmacro %}
