{% macro check_index_entry(entry, number) -%}
    {%- set takes = {
        'name': 'a text',
        'columns': 'a list of columns',
        'expression': 'a text',
        'unique': 'true or false',
        'where': 'a text',
        'include': 'a list of columns',
        'type': 'btree, brin, gin, gist, hash or spgist',
        'nulls_not_distinct': 'true or false',
        'with': 'storage parameters by name, such as fillfactor: 90',
        'why': 'a text',
    } -%}
    {%- if entry is not mapping -%}
        {%- do raise_index_error(number, 'the entry', entry, 'a mapping with ' ~ takes | join(', ')) -%}
    {%- endif -%}
    {%- for key, value in entry.items() -%}
        {%- set wanted = takes.get(key) -%}
        {%- if not wanted -%}
            {%- do raise_index_error(number, 'a key', key, takes | join(', ')) -%}
        {%- elif value is not none and (
            wanted == 'a text' and (value is not string or not value | trim)
            or wanted == 'true or false' and value is not boolean
            or wanted == 'a list of columns' and (value is string or value is mapping or value is not iterable or not value)
            or key == 'type' and value not in ['btree', 'brin', 'gin', 'gist', 'hash', 'spgist']
            or key == 'with' and value is not mapping
        ) -%}
            {%- do raise_index_error(number, key, value, wanted) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for parameter, value in (entry.get('with') or {}).items()
        if not modules.re.fullmatch('[a-z_]+', parameter | string) or not modules.re.fullmatch('[A-Za-z0-9_.]+', value | string) -%}
        {%- do raise_index_error(number, 'with', parameter ~ ': ' ~ value, takes['with']) -%}
    {%- endfor -%}

    {%- set type = entry.get('type') or 'btree' -%}
    {%- if not entry.get('columns') and not entry.get('expression') -%}
        {%- do raise_index_error(number, 'columns', 'missing', 'a list of columns, or an expression in their place') -%}
    {%- elif entry.get('columns') and entry.get('expression') -%}
        {%- do raise_index_error(number, 'expression', entry.expression, 'the place of columns, and columns is ' ~ entry['columns'] | join(', ')) -%}
    {%- elif entry.get('unique') and type != 'btree' -%}
        {%- do raise_index_error(number, 'unique', true, 'the type btree, and the type is ' ~ type) -%}
    {%- elif entry.get('nulls_not_distinct') and not entry.get('unique') -%}
        {%- do raise_index_error(number, 'nulls_not_distinct', true, 'an index with unique: true') -%}
    {%- elif entry.get('include') and type not in ['btree', 'gist', 'spgist'] -%}
        {%- do raise_index_error(number, 'include', entry.include | join(', '), 'the types btree, gist and spgist, and the type is ' ~ type) -%}
    {%- elif entry.get('columns') and entry['columns'] | length > 1 and type in ['hash', 'spgist'] -%}
        {%- do raise_index_error(number, 'columns', entry['columns'] | join(', '), 'one column where the type is ' ~ type) -%}
    {%- endif -%}
{%- endmacro %}


{% macro check_partition_fields(entry, number, names) -%}
    {%- if entry.get('unique') -%}
        {%- for field in fields_of_partitions() if field not in names -%}
            {%- do raise_index_error(
                number, 'columns', entry.get('expression') or names | join(', '),
                field ~ ' among the columns of a unique index, because partition_by names it'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
