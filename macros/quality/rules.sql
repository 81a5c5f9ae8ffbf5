{% macro declare_rules(rules) -%}
    {#- In the manifest, int_quality_rules and the documentation find them. -#}
    {%- set declared = {} -%}
    {%- for name, rule in rules.items() -%}
        {%- do check_rule(name, rule) -%}
        {%- set tables = rule.joins.keys() | select('in', var('contract_tables')) | list + rule.needs -%}
        {%- set absent = tables | reject('in', var('sources_present')) | list -%}
        {%- if not absent -%}
            {%- do declared.update({name: rule}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do config(meta={'rules': declared}) -%}
    {{ return(declared) }}
{%- endmacro %}


{% macro exclude_when(condition, says, dimension, joins={}, needs=[], left_out_by=none) -%}
    {{ return({
        'effect': 'exclude', 'condition': condition, 'says': says, 'dimension': dimension, 'joins': joins, 'needs': needs,
        'left_out_by': left_out_by,
    }) }}
{%- endmacro %}


{% macro flag_when(condition, says, dimension, joins={}, needs=[]) -%}
    {{ return({'effect': 'flag', 'condition': condition, 'says': says, 'dimension': dimension, 'joins': joins, 'needs': needs}) }}
{%- endmacro %}


{% macro exclusion_reason(rules) -%}
    case
        {%- for name, rule in rules.items() if rule.effect == 'exclude' and not rule.joins %}
        when {{ rule.condition }} then '{{ rule.says }}'
        {%- endfor %}
    end
{%- endmacro %}


{% macro is_included(rules) -%}
    {#- Repeats the conditions: within one select PostgreSQL does not know the alias exclusion_reason. -#}
    (({{ exclusion_reason(rules) }}) is null and _deleted_at is null)
{%- endmacro %}


{% macro failed_rules(rules) -%}
    nullif(
        concat_ws(
            ', '
            {%- for name, rule in rules.items() if not rule.joins %},
            case when {{ rule.condition }} then '{{ name }}' end
            {%- endfor %}
        ),
        ''
    )
{%- endmacro %}
