{% macro keys_to_test(columns, upstreams, ignoring=[], with_nulls=true) -%}
    {#- Each call keeps its keys in a temporary table of its own, because a test may follow several kinds of keys. -#}
    {%- set columns = as_list(columns) -%}
    {%- set nodes = nodes_of_refs(upstreams) if execute else [] -%}
    {%- do check_logged_keys(columns, nodes) -%}
    {%- if not may_record_test() -%}
        {{ return({'all': true, 'columns': columns}) }}
    {%- endif -%}
    {%- set read = nodes + nodes_of_refs(ignoring) + seeds_of_test() -%}
    {%- do remember_tested_tables(read, definition_fingerprint()) -%}
    {%- if should_test_whole(read) -%}
        {{ return({'all': true, 'columns': columns}) }}
    {%- endif -%}
    {%- set table = 'keys_of_test_' ~ local_md5(columns ~ nodes | map(attribute='unique_id') | list)[:12] -%}
    {%- do run_query(
        'create temporary table if not exists ' ~ table ~ ' (' ~ columns | join(', ') ~ ') as ' ~ keys_since_test(columns, nodes)
        ~ '; analyze ' ~ table
    ) -%}
    {%- set nulls = run_query('select exists (select from ' ~ table ~ ' where ' ~ are_null(columns) ~ ')')[0][0] if with_nulls -%}
    {{ return({'all': false, 'columns': columns, 'table': table, 'has_nulls': nulls}) }}
{%- endmacro %}


{% macro is_to_test(keys, columns=none, key=none) -%}
    {%- set columns = as_list(columns or keys.columns) -%}
    {%- set key = as_list(key or keys.columns) -%}
    {%- if execute and columns | length != key | length -%}
        {{ exceptions.raise_compiler_error(
            'is_to_test in ' ~ model.name ~ ' is given the columns ' ~ columns | join(', ') ~ ', and the keys have ' ~ key | join(', ')
            ~ '. Give as many columns, in the same order.'
        ) }}
    {%- elif keys.all -%}
        {#- The planner drops the columns, but a missing one stops the first run, not the second. -#}
        (true or ({{ columns | join(', ') }}) is null)
    {%- else -%}
        {%- set is_in -%}
            ({{ columns | join(', ') }}) in (select {{ key | join(', ') }} from {{ keys.table }})
        {%- endset -%}
        {#- Nothing equals a null, so all rows with one are asked. -#}
        {{ '(' ~ is_in ~ ' or ' ~ are_null(columns) ~ ')' if keys.has_nulls else is_in }}
    {%- endif -%}
{%- endmacro %}
