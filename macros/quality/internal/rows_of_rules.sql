{% macro joined_by(table_name, rules, relations) -%}
    {#- The relations that the rules of a table join, each with the column by which. -#}
    {%- set joined = {} -%}
    {%- for name, rule in rules.items() -%}
        {%- for alias, column in rule.joins.items() -%}
            {%- if alias not in relations -%}
                {{ exceptions.raise_compiler_error(
                    'stg_app__' ~ table_name ~ ': the rule ' ~ name ~ " joins '" ~ alias ~ "'; rules may join " ~ relations.keys() | join(', ')
                    ~ ' (int_row_issues.sql).'
                ) }}
            {%- elif joined.get(alias, column) != column -%}
                {{ exceptions.raise_compiler_error(
                    'stg_app__' ~ table_name ~ ': the rule ' ~ name ~ ' joins ' ~ alias ~ ' by ' ~ column ~ ', and another rule by ' ~ joined[alias]
                    ~ '. All rules of a table join ' ~ alias ~ ' by the same column.'
                ) }}
            {%- endif -%}
            {%- do joined.update({alias: column}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(joined) }}
{%- endmacro %}


{% macro related(rules, what) -%}
    {#- The row of another table that decides whether the rule holds: the issue is judged again when that row changes. -#}
    {%- set cases = [] -%}
    {%- for name, rule in rules.items() -%}
        {%- for alias, column in rule.joins.items() if alias in var('contract_tables') and '.' not in column -%}
            {%- if loop.first -%}
                {%- do cases.append("when '" ~ name ~ "' then " ~ ("'" ~ alias ~ "'" if what == 'table' else 'judged.' ~ column)) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ 'case rules.rule_name ' ~ cases | join(' ') ~ ' end' if cases else 'null::' ~ text_type() }}
{%- endmacro %}


{% macro columns_of_row(table_name, is_personal) -%}
    {%- set columns = [] -%}
    {%- if execute -%}
        {%- set source = (graph.sources.values() | selectattr('source_name', 'equalto', 'app') | selectattr('name', 'equalto', table_name) | first) -%}
        {%- set machinery = ['exclusion_reason', 'failed_rules', '_loaded_at', '_row_xid', 'is_included', 'is_deleted', 'updated_at'] -%}
        {%- for name in node_of_name('model', 'stg_app__' ~ table_name).columns if name not in machinery -%}
            {%- set tag = (source.columns.get(name) or {}).get('config', {}).get('meta', {}).get('pii') -%}
            {%- if (tag is not none and tag != 'identifier') == is_personal -%}
                {%- do columns.append(name) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(columns) }}
{%- endmacro %}
