{% macro check_retain(partition_by) -%}
    {#- `warehouse retain` makes the same checks. -#}
    {%- set given = config.get('retain') -%}
    {%- if given is not none -%}
        {%- set allowed = 'one of days, months, years with a whole number from 1 on, such as {months: 24}' -%}
        {%- if given is not mapping or given | length != 1 or given | first not in ['days', 'months', 'years'] -%}
            {{ exceptions.raise_compiler_error(this.identifier ~ ': retain is ' ~ given ~ '; it takes ' ~ allowed ~ '.') }}
        {%- endif -%}
        {%- set number = given[given | first] -%}
        {%- if number is boolean or number is not integer or number < 1 -%}
            {{ exceptions.raise_compiler_error(this.identifier ~ ': retain.' ~ given | first ~ ' is ' ~ number ~ '; it takes ' ~ allowed ~ '.') }}
        {%- elif not partition_by or partition_by.method != 'range' -%}
            {{ exceptions.raise_compiler_error(
                this.identifier ~ ': retain needs partition_by with the method range, because whole partitions are taken away; partition_by is '
                ~ (config.get('partition_by') or 'missing') ~ '.'
            ) }}
        {%- endif -%}
        {%- set callers = [] -%}
        {%- for node in [model] + graph.nodes.values() | selectattr('unique_id', 'in', model.depends_on.nodes) | list -%}
            {%- for macro in node.depends_on.macros if macro.endswith('.is_retained') -%}
                {%- do callers.append(node.name) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if not callers -%}
            {%- do exceptions.warn(
                this.identifier ~ ': retain is given, but the SQL of the model does not call is_retained, so rows that `warehouse retain` took away'
                ~ " come back with --full-refresh. Add is_retained('" ~ partition_by.field ~ "') to its condition, as docs/retention.md says."
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
