{% macro state_after_build() -%}
    {%- set queries = {'indexes': query_of_indexes(), 'constraints': query_of_constraints()} -%}
    {%- if has_statistics() -%}
        {%- do queries.update({'relations': relations_to_analyze(this)}) -%}
    {%- endif -%}
    {{ return(queries) }}
{%- endmacro %}


{% macro has_work_after_build(found) -%}
    {{ return(plan_of_indexes(found.indexes) is not none or found.relations | length > 0 or lacks_constraints(found.constraints)) }}
{%- endmacro %}
