{% macro declared_indexes(columns=none) -%}
    {%- set entries = config.get('indexes') or [] -%}
    {%- if entries is string or entries is mapping -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ": indexes is '" ~ entries ~ "'; it takes a list of entries, such as [{'columns': ['user_id']}]."
        ) }}
    {%- endif -%}
    {%- if entries and model.config.materialized not in materializations_with_indexes() -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': indexes is given and materialized is ' ~ model.config.materialized ~ '; indexes take '
            ~ materializations_with_indexes() | join(', ') ~ '.'
        ) }}
    {%- endif -%}
    {%- set declared = [] -%}
    {%- for entry in entries -%}
        {%- set index = declared_index(entry, loop.index, columns) -%}
        {%- if index.name in declared | map(attribute='name') -%}
            {%- do raise_index_error(loop.index, 'name', index.name, 'a name that no other entry has; give one of the two a name') -%}
        {%- endif -%}
        {%- do declared.append(index) -%}
    {%- endfor -%}
    {{ return(declared) }}
{%- endmacro %}


{% macro check_indexes() -%}
    {#- A pre-hook: what is wrong in the configuration is said before anything is built. -#}
    {%- if execute -%}
        {%- do declared_indexes(columns_of_contract()) -%}
        {%- do read_no_overlaps() -%}
    {%- endif -%}
{%- endmacro %}


{% macro materializations_with_indexes() -%}
    {{ return(['table', 'incremental', 'materialized_view', 'snapshot', 'seed']) }}
{%- endmacro %}


{% macro declared_index(entry, number, columns=none) -%}
    {%- do check_index_entry(entry, number) -%}
    {%- set type = entry.get('type') or 'btree' -%}
    {%- set keys, names, ordered = [], [], [] -%}
    {%- for given in entry.get('columns') or [] -%}
        {%- set key = key_of_index(given, number, columns, type) -%}
        {%- do keys.append(key.sql) -%}
        {%- do names.append(key.column) -%}
        {%- do ordered.append(key.sql ~ key.order) -%}
    {%- endfor -%}
    {%- if entry.get('expression') -%}
        {%- do keys.append('(' ~ entry.expression | trim ~ ')') -%}
        {%- do names.append('expr') -%}
        {%- do ordered.append(keys[0]) -%}
    {%- endif -%}
    {%- do check_partition_fields(entry, number, names) -%}
    {%- set included = [] -%}
    {%- for given in entry.get('include') or [] -%}
        {%- set column = column_of_index(given, columns) -%}
        {%- if given is not string or not column -%}
            {%- do raise_index_error(number, 'include', given, 'the columns ' ~ (columns or ['not known yet']) | join(', ')) -%}
        {%- endif -%}
        {%- do included.append(adapter.quote(column)) -%}
    {%- endfor -%}

    {%- set parameters = [] -%}
    {%- for parameter, value in (entry.get('with') or {}).items() -%}
        {%- do parameters.append(parameter ~ ' = ' ~ value) -%}
    {%- endfor -%}
    {%- set definition -%}
        using {{ type }} ({{ ordered | join(', ') }})
        {%- if included %} include ({{ included | join(', ') }}){% endif -%}
        {%- if entry.get('nulls_not_distinct') %} nulls not distinct{% endif -%}
        {%- if parameters %} with ({{ parameters | join(', ') }}){% endif -%}
        {%- if entry.get('where') %} where {{ entry.where | trim }}{% endif -%}
    {%- endset -%}
    {%- set unique = 'unique ' if entry.get('unique') else '' -%}
    {%- if entry.get('name') -%}
        {%- set name = index_name(entry.name, '') -%}
    {%- else -%}
        {%- set name = index_name(this.identifier ~ '_' ~ names | join('_'), '_key' if unique else '_idx') -%}
    {%- endif -%}
    {%- set hash = local_md5(name ~ ' ' ~ unique ~ definition) -%}
    {{ return({
        'name': name,
        'unique': unique,
        'definition': definition,
        'hash': hash,
        'comment': comment_of_index(hash, entry.get('why')),
        'keys': keys,
        'where': entry.get('where'),
        'nulls_not_distinct': entry.get('nulls_not_distinct'),
    }) }}
{%- endmacro %}


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


{% macro key_of_index(given, number, columns, type) -%}
    {#- A column as PostgreSQL writes it, and behind it the operator class, the direction and the place of nulls. -#}
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


{% macro column_of_index(given, columns) -%}
    {#- As PostgreSQL reads a name: in small letters, unless it is quoted. None when there is no such column. -#}
    {%- if given is not string or given in (columns or []) -%}
        {{ return(given) }}
    {%- endif -%}
    {%- set column = given[1:-1].replace('""', '"') if given[0] == '"' else given | lower -%}
    {{ return(column if columns is none or column in columns else none) }}
{%- endmacro %}


{% macro check_partition_fields(entry, number, names) -%}
    {%- set partition_by = config.get('partition_by') -%}
    {%- set fields = (partition_by.get('fields') if partition_by is mapping else none) or [] -%}
    {%- if entry.get('unique') -%}
        {%- for field in ([fields] if fields is string else fields) if field not in names -%}
            {%- do raise_index_error(
                number, 'columns', entry.get('expression') or names | join(', '),
                field ~ ' among the columns of a unique index, because partition_by names it'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro raise_index_error(number, key, value, takes) -%}
    {{ exceptions.raise_compiler_error(
        this.identifier ~ ': in entry ' ~ number ~ ' of indexes ' ~ key ~ " is '" ~ value ~ "'; it takes " ~ takes ~ '.'
    ) }}
{%- endmacro %}


{% macro columns_of_contract() -%}
    {%- if not (config.get('contract') or {}).enforced -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for column in model.columns.values() -%}
        {%- do columns.append(column.name if column.quote else column.name | lower) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}


{% macro index_name(base, suffix) -%}
    {#- PostgreSQL takes 63 bytes and cuts the rest off, which would make two long names one. -#}
    {%- set name = base ~ suffix -%}
    {%- if name.encode('utf-8') | length <= 63 -%}
        {{ return(name) }}
    {%- endif -%}
    {%- set tail = '_' ~ local_md5(name)[:8] ~ suffix -%}
    {%- set room = 63 - (tail.encode('utf-8') | length) -%}
    {{ return(base.encode('utf-8')[:room].decode('utf-8', 'ignore') ~ tail) }}
{%- endmacro %}
