{% macro key_of_index(given, number, columns, type) -%}
    {#- A column, and after it the operator class, the direction and the position of nulls. -#}
    {%- set parts = modules.re.fullmatch(
        '("(?:[^"]|"")+"|[^ "]+)( +(?!(?:asc|desc|nulls)(?: |$))[a-z_][a-z0-9_.]*)?( +(?:asc|desc))?( +nulls +(?:first|last))?',
        given | string | trim,
        modules.re.IGNORECASE
    ) -%}
    {%- set column = column_of_index(given if given in (columns or []) or not parts else parts[1], columns) -%}
    {%- if not column or given is not string -%}
        {%- do raise_index_error(
            number, 'columns', given,
            'a column and perhaps an operator class, asc or desc, nulls first or last behind it; the columns are '
            ~ (columns or ['not known yet']) | join(', ') ~ ', and what is computed from them is an expression'
        ) -%}
    {%- elif given in (columns or []) -%}
        {{ return({'column': column, 'sql': adapter.quote(column), 'order': ''}) }}
    {%- elif (parts[3] or parts[4]) and type != 'btree' -%}
        {%- do raise_index_error(number, 'columns', given, 'a direction where the type is btree, and the type is ' ~ type) -%}
    {%- endif -%}
    {{ return({
        'column': column,
        'sql': adapter.quote(column),
        'order': (parts[2] or '') ~ (parts[3] or '') ~ (parts[4] or ''),
    }) }}
{%- endmacro %}
