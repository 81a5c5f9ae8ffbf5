{% macro check_own_columns(has_watermarks) -%}
    {#- Of a new table. Only later builds read these columns, and would fail, or find nothing. -#}
    {%- set needed = as_list(config.get('unique_key')) + change_log_keys(model) -%}
    {%- if has_watermarks -%}
        {%- for row in run_query('select unnest(own_columns) from pg_temp.this_run') -%}
            {%- do needed.append(row[0]) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set columns = adapter.get_columns_in_relation(this) -%}
    {%- set found = columns | map(attribute='name') | list -%}
    {%- for column in missing_columns(needed, found) -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ " has no column '" ~ column ~ "', which its unique_key, meta.change_log_keys, event_time, or changed_keys names; it has "
            ~ found | join(', ') ~ '.'
        ) }}
    {%- endfor -%}
    {%- for column in columns if config.get('incremental_strategy') == 'changed_keys' and column.dtype | replace('[]', '') in ['json', 'xml', 'point', 'polygon'] -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ': ' ~ column.name ~ ' is ' ~ column.dtype ~ ', whose values have no equality, and the strategy changed_keys compares rows. Cast it to '
            ~ ('jsonb' if column.dtype == 'json' else 'text') ~ '.'
        ) }}
    {%- endfor -%}
    {%- if has_watermarks -%}
        {%- for row in run_query('select unnest(own_queries) from pg_temp.this_run') -%}
            {%- do run_query(row[0]) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro need_own_columns(columns) -%}
    {%- do run_query(
        'update pg_temp.this_run set own_columns = own_columns || array[' ~ quoted_texts(columns) ~ "]::text[] where upstream_name = '(definition)'"
    ) -%}
{%- endmacro %}
