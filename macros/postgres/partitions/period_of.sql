{% macro period_of(relation, partition_by) -%}
    {#- How a range is divided into periods; their bounds are in UTC. -#}
    {%- set data_type = data_type_of(relation, partition_by.field) -%}
    {%- if data_type not in ['date', 'timestamp without time zone', 'timestamp with time zone'] -%}
        {%- do refuse_partition_by('.fields', partition_by.field ~ ', of type ' ~ data_type, 'for range a date or a timestamp') -%}
    {%- endif -%}
    {%- set is_in_zone = data_type == 'timestamp with time zone' -%}
    {%- set name_formats = {'day': 'YYYY_MM_DD', 'week': 'IYYY"w"IW', 'month': 'YYYY_MM', 'quarter': 'YYYY"q"Q', 'year': 'YYYY'} -%}
    {{ return({
        'data_type': data_type,
        'beginning': "date_trunc('" ~ partition_by.granularity ~ "', " ~ partition_by.quoted_field ~ (" at time zone 'UTC'" if is_in_zone else '::timestamp') ~ ')',
        'length': "interval '" ~ ('3 months' if partition_by.granularity == 'quarter' else '1 ' ~ partition_by.granularity) ~ "'",
        'name_format': name_formats[partition_by.granularity],
    }) }}
{%- endmacro %}


{% macro bound_of(moment, period) -%}
    {%- if period.data_type == 'timestamp with time zone' -%}
        (({{ moment }}) at time zone 'UTC')
    {%- else -%}
        ({{ moment }})::{{ period.data_type }}
    {%- endif -%}
{%- endmacro %}


{% macro data_type_of(relation, column) -%}
    {%- set query -%}
        select format_type(atttypid, null)
        from pg_attribute
        where attrelid = to_regclass('{{ relation }}') and attname = '{{ column }}' and not attisdropped
    {%- endset -%}
    {%- set found = run_query(query) -%}
    {%- if not found -%}
        {%- do refuse_partition_by('.fields', column, 'a column of the model') -%}
    {%- endif -%}
    {{ return(found[0][0]) }}
{%- endmacro %}
