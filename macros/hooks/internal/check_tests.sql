{% macro check_tests() -%}
    {#- dbt takes any meta. What is written there and has no effect would be missed when it is needed. -#}
    {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
    {%- for test in nodes.values() | selectattr('resource_type', 'equalto', 'test') if test.config.meta -%}
        {%- set percent = test.config.meta.get('error_above_percent') -%}
        {%- set dimension = test.config.meta.get('dimension') -%}
        {%- set table = nodes.get(table_of_test(test)) -%}
        {%- if percent is not none and (percent is not number or not 0 <= percent <= 100) -%}
            {{ exceptions.raise_compiler_error(
                test.name ~ ": meta.error_above_percent is '" ~ percent ~ "'; it takes a number from 0 to 100, per cent of the rows of a run."
            ) }}
        {%- elif percent is not none and not (table and logs_changed_keys(table) and is_audited(test)) -%}
            {{ exceptions.raise_compiler_error(
                test.name ~ ': meta.error_above_percent has no effect here; only tests that an incremental model asks of the rows it writes take it.'
                ~ ' Use error_if, which counts the failing rows of the table.'
            ) }}
        {%- elif dimension is not none and dimension not in dimensions_of_quality() -%}
            {{ exceptions.raise_compiler_error(
                test.name ~ ": meta.dimension is '" ~ dimension ~ "'; it takes " ~ dimensions_of_quality() | join(', ') ~ '.'
            ) }}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}
