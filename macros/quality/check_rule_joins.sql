{% macro check_rule_joins(relations) -%}
    {%- for table_name in var('contract_tables') if execute -%}
        {%- do joined_by(table_name, rules_of_table(table_name), relations) -%}
        {%- for name, rule in rules_of_table(table_name).items() -%}
            {%- for alias in rule.joins if relations[alias].found is defined and table_name not in relations[alias].found -%}
                {#- That a row is missing is known from the issue itself, until the row is there. -#}
                {%- set named = (rule.joins.values() | list + [rule.condition]) | join(' ') -%}
                {%- set rest = modules.re.sub('\\b' ~ alias ~ '\\.' ~ relations[alias].key ~ ' is null', '', named) -%}
                {%- if modules.re.search('\\b' ~ alias ~ '\\.', rest) -%}
                    {{ exceptions.raise_compiler_error(
                        'stg_app__' ~ table_name ~ ': the rule ' ~ name ~ ' compares columns of ' ~ alias ~ ', whose changes do not find the rows of '
                        ~ table_name ~ ', but those of ' ~ (relations[alias].found | join(', ') or 'no table') ~ '. Extend the lookup of ' ~ alias
                        ~ ' in int_row_issues.sql; or ask only whether ' ~ alias ~ '.' ~ relations[alias].key ~ ' is null.'
                    ) }}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}
