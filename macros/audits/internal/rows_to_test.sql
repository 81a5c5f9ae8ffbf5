{% macro rows_to_test(relation) -%}
    {#- Which rows of its relation a generic test is asked of, as a condition; none for all. -#}
    {%- set node = graph.nodes.get(model.attached_node) if may_record_test() and model.attached_node else none -%}
    {%- if not node or not is_audited(model) -%}
        {{ return(none) }}
    {%- elif model.test_metadata.name == 'relationships' and not is_staged(node) -%}
        {{ return(references_to_test(node)) }}
    {%- endif -%}
    {{ return(loads_to_test(node, relation) if is_staged(node) else none) }}
{%- endmacro %}


{% macro references_to_test(node) -%}
    {#- Of a table that is built before the one it refers to: the references that changed, and those whose row changed. -#}
    {%- set column = model.test_metadata.kwargs.column_name -%}
    {%- set field = model.test_metadata.kwargs.field -%}
    {%- set parent = parent_of_test(model) -%}
    {%- if not (logs_changed_keys(node) and logs_changed_keys(parent)) or place_of_parent(model) != 'above'
        or column not in logged_keys_of_node(node) or field not in logged_keys_of_node(parent)
    -%}
        {{ return(none) }}
    {%- endif -%}
    {%- do remember_tested_tables([node, parent], fingerprint_of_test(model)) -%}
    {%- if should_test_whole([node, parent]) -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(
        column ~ ' in (' ~ keys_since_test([column], [node]) ~ ' union ' ~ keys_since_test([field], [parent]) ~ ')'
    ) }}
{%- endmacro %}


{% macro loads_to_test(node, relation) -%}
    {%- set column = model.test_metadata.kwargs.get('column_name') -%}
    {%- if not follows_loads(model) -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set seed = seed_of_reference(model) -%}
    {%- do remember_tested_tables([node], fingerprint_of_test(model), [seed] if seed else []) -%}
    {%- if should_test_whole([node]) -%}
        {{ return(none) }}
    {%- elif model.test_metadata.name == 'unique' -%}
        {{ return(column ~ ' in (select ' ~ column ~ ' from ' ~ relation ~ ' where ' ~ is_loaded_since_test(node) ~ ')') }}
    {%- endif -%}
    {{ return(is_loaded_since_test(node)) }}
{%- endmacro %}


{% macro follows_loads(test) -%}
    {#- The rows of a view that shows all of its source do not vanish, and a seed is compared. -#}
    {%- set parent = parent_of_test(test) if 'to' in test.test_metadata.kwargs else none -%}
    {{ return(
        is_audited(test)
        and (test.test_metadata.name != 'unique' or test.test_metadata.kwargs.get('column_name'))
        and (
            not parent or parent.resource_type == 'seed'
            or is_staged(parent) and not view_says(parent, '\\m(where|join|distinct(?! from)|group by|having|limit)\\M')
        )
    ) }}
{%- endmacro %}


{% macro seed_of_reference(test) -%}
    {#- The relation of the seed that a test refers to; none if it refers to none. -#}
    {%- set parent = parent_of_test(test) if 'to' in test.test_metadata.kwargs else none -%}
    {{ return(relation_of_node(parent) if parent and parent.resource_type == 'seed' else none) }}
{%- endmacro %}
