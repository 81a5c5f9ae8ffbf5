{% macro read_retain(node) -%}
    {#- The only validation: builds raise the fault, and `warehouse retain` reports it. -#}
    {%- set given = node.config.get('retain') -%}
    {%- if given is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set allowed = 'one of days, months, years with a whole number from 1 on, such as {months: 24}' -%}
    {%- if given is not mapping or given | length != 1 or given | first not in ['days', 'months', 'years'] -%}
        {{ return({'fault': node.name ~ ': retain is ' ~ given ~ '; it takes ' ~ allowed ~ '.'}) }}
    {%- endif -%}
    {%- set unit = given | first -%}
    {%- set number = given[unit] -%}
    {%- set partition_by = node.config.get('partition_by') -%}
    {%- if number is not integer or number < 1 -%}
        {{ return({'fault': node.name ~ ': retain.' ~ unit ~ ' is ' ~ number ~ '; it takes ' ~ allowed ~ '.'}) }}
    {%- elif partition_by is not mapping or partition_by.get('method', 'range') != 'range' -%}
        {{ return({
            'fault': node.name ~ ': retain needs partition_by with the method range, because whole partitions are dropped; partition_by is '
            ~ (partition_by or 'missing') ~ '.'
        }) }}
    {%- endif -%}
    {{ return({'fault': none, 'retention': number ~ ' ' ~ unit}) }}
{%- endmacro %}
