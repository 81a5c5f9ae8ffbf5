{% macro results_of_rules() -%}
    {#- A row per rule: its open issues among the rows of the table. The score counts them as it counts the rows that fail a test. -#}
    {%- set rules = node_of_name('model', 'int_quality_rules') -%}
    {%- set issues = node_of_name('model', 'int_row_issues') -%}
    {%- set staged = {} -%}
    {%- for unique_id in issues.depends_on.nodes if unique_id.split('.')[-1].startswith('stg_app__') -%}
        {%- do staged.update({unique_id: unique_id.split('.')[-1].replace('stg_app__', '')}) -%}
    {%- endfor -%}
    {%- set row_counts = estimated_rows(staged.keys() | list) -%}
    {%- set tables = [] -%}
    {%- for unique_id, table in staged.items() -%}
        {%- do tables.append({'table_name': table, 'row_count': row_counts[unique_id]}) -%}
    {%- endfor %}
    select
        '{{ invocation_id }}',
        'rule.' || rules.table_name || '.' || rules.rule_name,
        rules.rule_name,
        'rule',
        'stg_app__' || rules.table_name,
        case when coalesce(issues.failing_rows, 0) = 0 then 'pass' else 'warn' end,
        rules.effect,
        rules.dimension,
        case when rules.effect = 'exclude' then {{ weight_of_severity('error') }} else {{ weight_of_severity('warn') }} end,
        true,
        tables.row_count,
        coalesce(issues.failing_rows, 0),
        null,
        0,
        now(),
        now()
    from {{ relation_of_node(rules) }} as rules
    inner join jsonb_to_recordset({{ quoted_texts([tojson(tables)]) }}) as tables (table_name text, row_count bigint)
        on rules.table_name = tables.table_name
    left join (
        select table_name, rule_name, count(*) as failing_rows
        from {{ relation_of_node(issues) }}
        group by 1, 2
    ) as issues
        on rules.table_name = issues.table_name and rules.rule_name = issues.rule_name
{%- endmacro %}
