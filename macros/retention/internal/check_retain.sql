{% macro check_retain(partition_by) -%}
    {%- set retain = read_retain(model) -%}
    {%- if retain -%}
        {%- if retain.fault -%}
            {{ exceptions.raise_compiler_error(retain.fault) }}
        {%- endif -%}
        {%- set callers = [] -%}
        {%- for node in [model] + graph.nodes.values() | selectattr('unique_id', 'in', model.depends_on.nodes) | list -%}
            {%- for macro in node.depends_on.macros if macro.endswith('.is_retained') -%}
                {%- do callers.append(node.name) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if retain.tiers and not callers -%}
            {%- do exceptions.warn(
                this.identifier ~ ': retain is given, but the SQL of the model does not call is_retained, so rows that `warehouse retain` took away'
                ~ " come back with --full-refresh. Add is_retained('" ~ retain.column ~ "') to its condition, as docs/retention.md says."
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro check_retain_of_sources() -%}
    {%- for unique_id, source in graph.sources.items() if source.source_name == 'app' -%}
        {%- set retain = read_retain(source) -%}
        {%- if retain and retain.fault -%}
            {{ exceptions.raise_compiler_error(retain.fault) }}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}
