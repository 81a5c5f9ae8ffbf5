{% macro weight_of_test(test) -%}
    {%- set given = test.config.meta.get('quality_weight') -%}
    {%- if given is not none and (given is not number or given < 0) -%}
        {%- do exceptions.warn(test.name ~ ": meta.quality_weight is '" ~ given ~ "'; it takes a number from 0, and is ignored.") -%}
    {%- elif given is not none -%}
        {{ return(given) }}
    {%- endif -%}
    {{ return(weight_of_severity(test.config.severity | lower)) }}
{%- endmacro %}


{% macro weight_of_severity(severity) -%}
    {{ return(3 if severity == 'error' else 1) }}
{%- endmacro %}


{% macro counts_rows(test) -%}
    {#- Whether the failures of a test are rows of its table, so that their share is the share of bad rows. -#}
    {%- if table_of_test(test) is none or test.config.fail_calc != 'count(*)' or test.config.limit or test.config.where -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set name = test.test_metadata.name -%}
    {{ return(
        name in ['unique', 'unique_combination_of_columns'] or name in row_wise_tests().get(test.test_metadata.namespace or 'dbt', [])
            or test.config.meta.get('row_wise') is true
    ) }}
{%- endmacro %}


{% macro dimension_of_test(test) -%}
    {#- One of the dimensions of the rules of rows. -#}
    {%- set is_generic = test.test_metadata is defined -%}
    {%- set name = test.test_metadata.name if is_generic else test.name -%}
    {{ return(
        test.config.meta.get('dimension')
        or ('completeness' if 'not_null' in name or 'not_be_null' in name or 'not_empty' in name or name.startswith('vertical_')
            else 'uniqueness' if 'unique' in name
            else 'timeliness' if 'recen' in name
            else 'consistency' if name == 'relationships' or not is_generic
            else 'validity')
    ) }}
{%- endmacro %}


{% macro table_of_test(test) -%}
    {#- The node that a generic test is declared at; none for a test in a file of its own. -#}
    {{ return(test.attached_node if test.attached_node is defined else none) }}
{%- endmacro %}
