{% macro is_changed_in_partitions(keys) -%}
    {%- if execute and keys.columns | length != 1 -%}
        {{ exceptions.raise_compiler_error(
            'is_changed_in_partitions in ' ~ model.name ~ ' takes keys of one column, and these have ' ~ keys.columns | join(', ') ~ '; use is_changed.'
        ) }}
    {%- elif keys.all -%}
        {{ is_changed(keys) }}
    {%- elif flags.EMPTY -%}
        false
    {%- else -%}
        {#- A join asks every partition for every key; for a sorted list an index answers in one pass. -#}
        {%- set column = keys.columns | join(', ') -%}
        {{ column }} = any(array(select {{ column }} from changed_keys order by {{ column }}))
    {%- endif -%}
{%- endmacro %}
