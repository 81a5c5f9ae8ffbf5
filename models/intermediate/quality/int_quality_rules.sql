{{ config(materialized='view') }}

{%- for table_name in var('contract_tables') %}
-- depends_on: {{ ref('stg_app__' ~ table_name) }}
{%- endfor %}

{% for rule in declared_rules() -%}
select
    '{{ rule.table_name }}'::{{ text_type() }} as table_name,
    '{{ rule.name }}'::{{ text_type() }} as rule_name,
    '{{ rule.says }}'::{{ text_type() }} as says,
    '{{ rule.dimension }}'::{{ text_type() }} as dimension,
    '{{ rule.effect }}'::{{ text_type() }} as effect,
    '{{ rule.condition | replace("'", "''") }}'::{{ text_type() }} as fails_when,
    '{{ rule.joined | replace("'", "''") }}'::{{ text_type() }} as joins,
    '{{ rule.personal_columns }}'::{{ text_type() }} as personal_columns
union all
{% endfor -%}
select
    null::{{ text_type() }} as table_name,
    null::{{ text_type() }} as rule_name,
    null::{{ text_type() }} as says,
    null::{{ text_type() }} as dimension,
    null::{{ text_type() }} as effect,
    null::{{ text_type() }} as fails_when,
    null::{{ text_type() }} as joins,
    null::{{ text_type() }} as personal_columns
where false
