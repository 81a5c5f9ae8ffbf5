{% macro issues_of_table(table_name, key, relations, changed_rows, row_date, joins={}) -%}
    {%- set staging = ref('stg_app__' ~ table_name) -%}
    {%- set rules = rules_of_table(table_name) if execute else {} -%}
    {%- set joined = dict(joins, **joined_by(table_name, rules, relations)) -%}
    {#- A row may join several rows of a relation, such as users with the same email. -#}
    select distinct
        '{{ table_name }}'::{{ text_type() }} as table_name,
        judged.{{ key }} as row_key,
        rules.rule_name,
        rules.effect,
        {{ related(rules, 'table') }} as related_table,
        {{ related(rules, 'key') }} as related_key,
        {{ row_as_json('judged', columns_of_row(table_name, is_personal=false)) }} as row_data,
        {{ row_as_json('judged', columns_of_row(table_name, is_personal=true)) }} as personal_data,
        judged.row_date,
        judged._loaded_at
    from (
        {#- Few rows fail, and only they meet the rules. -#}
        select *
        from (
            select
                staged.*,
                {{ row_date }} as row_date,
                concat_ws(
                    ', ',
                    staged.failed_rules
                    {%- for name, rule in rules.items() if rule.joins %},
                    case when staged.exclusion_reason is null and ({{ rule.condition }}) then '{{ name }}' end
                    {%- endfor %}
                ) as names
            from (
                select *
                from (select * from {{ staging }}) as staged
                where {{ is_changed(changed_rows, ["'" ~ table_name ~ "'", 'staged.' ~ key]) }}
                    and staged.{{ key }} is not null
                    and not staged.is_deleted
                {{ evaluated_once() }}
            ) as staged
            {%- for alias, column in joined.items() %}
            left join (select * from {{ relations[alias].relation }}) as {{ alias }}
                on {{ column if '.' in column else 'staged.' ~ column }} = {{ alias }}.{{ relations[alias].key }}
                    {%- if relations[alias].where %}
                    and {{ relations[alias].where }}
                    {%- endif %}
            {%- endfor %}
        ) as named
        where named.names != ''
        {{ evaluated_once() }}
    ) as judged
    inner join (select * from {{ ref('int_quality_rules') }}) as rules
        on rules.table_name = '{{ table_name }}'
            and position(', ' || rules.rule_name || ', ' in ', ' || judged.names || ', ') > 0
{%- endmacro %}
