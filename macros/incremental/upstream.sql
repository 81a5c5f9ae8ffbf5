{% macro upstream(relation, columns=none, through=none, unless=none, dated_by=none) -%}
    {{ return({'relation': relation, 'columns': columns, 'through': through, 'unless': unless, 'dated_by': dated_by}) }}
{%- endmacro %}
