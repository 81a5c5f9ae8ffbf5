{% macro check_rule(name, rule) -%}
    {%- set where = model.name ~ ': the rule ' ~ name -%}
    {%- if not modules.re.fullmatch('[a-z][a-z0-9_]*', name) -%}
        {{ exceptions.raise_compiler_error(where ~ ' has no valid name; a name has lower-case letters, digits and underscores.') }}
    {%- elif rule is not mapping or not rule.condition or not rule.effect -%}
        {{ exceptions.raise_compiler_error(
            where ~ " is '" ~ rule ~ "'; it takes exclude_when(condition, says, dimension) or flag_when(condition, says, dimension, joins)."
        ) }}
    {%- elif rule.dimension not in dimensions_of_quality() -%}
        {{ exceptions.raise_compiler_error(where ~ " has the dimension '" ~ rule.dimension ~ "'; it takes " ~ dimensions_of_quality() | join(', ') ~ '.') }}
    {%- elif not rule.says or "'" in rule.says -%}
        {{ exceptions.raise_compiler_error(where ~ ' says "' ~ rule.says ~ '"; it takes a text without quotes, such as "no order_id".') }}
    {%- elif rule.effect == 'exclude' and rule.joins and not rule.left_out_by -%}
        {{ exceptions.raise_compiler_error(
            where ~ ' is exclude_when and joins ' ~ rule.joins.keys() | join(', ') ~ '; staging excludes rows by their own columns only. Write'
            ~ ' flag_when; or name with left_out_by the model whose own join leaves such rows out.'
        ) }}
    {%- endif -%}
{%- endmacro %}


{% macro dimensions_of_quality() -%}
    {{ return(['completeness', 'validity', 'uniqueness', 'consistency', 'timeliness']) }}
{%- endmacro %}
