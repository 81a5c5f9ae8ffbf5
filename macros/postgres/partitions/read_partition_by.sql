{% macro read_partition_by() -%}
    {%- set given = config.get('partition_by') -%}
    {%- if not given -%}
        {{ return(none) }}
    {%- endif -%}
    {%- if model.config.materialized not in ['table', 'incremental'] -%}
        {%- do refuse_partition_by('', given ~ ' and materialized is ' ~ model.config.materialized, 'the materializations table and incremental') -%}
    {%- endif -%}
    {%- set allowed = {
        'fields': 'a list of columns: one for range and list, one or more for hash',
        'method': ['range', 'list', 'hash'],
        'granularity': ['day', 'week', 'month', 'quarter', 'year'],
        'default_partition': [true, false],
        'partitions': 'for hash their number, 1 or more; nothing for range and list, whose partitions are made as rows arrive',
    } -%}
    {%- if given is not mapping -%}
        {%- do refuse_partition_by('', given, 'a dictionary with the keys ' ~ allowed.keys() | join(', ')) -%}
    {%- endif -%}
    {%- for key in given if key not in allowed -%}
        {%- do refuse_partition_by('', "the key '" ~ key ~ "'", allowed.keys() | join(', ')) -%}
    {%- endfor -%}

    {%- set fields = [given.get('fields')] if given.get('fields') is string else given.get('fields') or [] -%}
    {%- set quoted_fields = [] -%}
    {%- for field in fields -%}
        {%- do quoted_fields.append(adapter.quote(field)) -%}
    {%- endfor -%}
    {%- set partition_by = {
        'fields': fields,
        'field': fields | first,
        'quoted_fields': quoted_fields,
        'quoted_field': quoted_fields | first,
        'method': given.get('method', 'range'),
        'granularity': given.get('granularity', 'month'),
        'default_partition': given.get('default_partition', false),
        'partitions': given.get('partitions'),
    } -%}
    {%- for key in ['method', 'granularity', 'default_partition'] if partition_by[key] not in allowed[key] -%}
        {%- do refuse_partition_by('.' ~ key, partition_by[key], allowed[key] | join(', ')) -%}
    {%- endfor -%}
    {%- if partition_by.method != 'range' and given.get('granularity') is not none -%}
        {%- do refuse_partition_by('.granularity', given.granularity, 'nothing for list and hash, whose partitions have no length') -%}
    {%- endif -%}
    {%- set is_hash = partition_by.method == 'hash' -%}
    {%- if not fields or not is_hash and fields | length != 1 -%}
        {%- do refuse_partition_by('.fields', given.get('fields'), allowed.fields) -%}
    {%- endif -%}
    {%- set columns = columns_of_contract() -%}
    {%- for field in fields if columns is not none and field not in columns -%}
        {%- do refuse_partition_by('.fields', field, 'a column of the model: ' ~ columns | join(', ')) -%}
    {%- endfor -%}
    {%- for key in keys_of_contract() -%}
        {%- for field in fields if field not in key.columns -%}
            {%- do refuse_partition_by('.fields', field, 'columns that the ' ~ key.type ~ ' (' ~ key.columns | join(', ') ~ ') of the contract holds; or take that constraint out of the contract') -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if is_hash != (partition_by.partitions is integer and partition_by.partitions > 0) or not is_hash and partition_by.partitions is not none -%}
        {%- do refuse_partition_by('.partitions', partition_by.partitions, allowed.partitions) -%}
    {%- endif -%}
    {%- if is_hash and partition_by.default_partition -%}
        {%- do refuse_partition_by('.default_partition', true, 'false for hash, which has a partition for every row') -%}
    {%- endif -%}
    {{ return(partition_by) }}
{%- endmacro %}
