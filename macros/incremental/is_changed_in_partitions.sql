{% macro is_changed_in_partitions(keys) -%}
    {%- if keys.all -%}
        true
    {%- elif flags.EMPTY -%}
        false
    {%- else -%}
        {#- A join asks every partition for every key; for a sorted list an index answers in one pass. -#}
        {%- set column = keys.columns | join(', ') -%}
        {{ column }} = any(array(select {{ column }} from changed_keys order by {{ column }}))
    {%- endif -%}
{%- endmacro %}
