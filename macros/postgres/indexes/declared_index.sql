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
        'columns': names if entry.get('columns') else [],
        'hash': hash,
        'comment': comment_of_index(hash, entry.get('why')),
        'keys': keys,
        'where': entry.get('where'),
        'nulls_not_distinct': entry.get('nulls_not_distinct'),
    }) }}
{%- endmacro %}
