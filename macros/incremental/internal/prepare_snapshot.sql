{% macro prepare_snapshot() -%}
    {#- Called by before_build. Like changed_keys for a model: what is read, and how far, is recorded before it is read. -#}
    {%- if execute -%}
        {%- do run_query(lock_model() ~ '; ' ~ use_fixed_formats()) -%}
    {%- endif -%}
    {%- if execute and not flags.EMPTY and not is_sample() -%}
        {%- set upstreams = upstreams_of_snapshot() -%}
        {%- do check_views_are_whole(tables_of_snapshot()) -%}
        {%- do remember_watermarks(upstreams, snapshot_fingerprint()) -%}
        {%- do run_query(
            "insert into this_run (upstream_name, system_identifier, run_snapshot, fingerprint) select '(columns)', system_identifier,"
            ~ " run_snapshot, '" ~ columns_of_snapshot() | join(',') ~ "' from this_run where upstream_name = '(definition)'"
        ) -%}
        {%- set previous = read_watermarks() -%}
        {%- set reason = reason_to_compare_all(upstreams, previous) -%}
        {%- if reason -%}
            {%- do log(this.identifier ~ ': compares all rows, because ' ~ reason, info=false) -%}
        {%- else -%}
            {%- do run_query(
                'create temporary table unread_rows as select * from ' ~ upstreams[0].relation ~ ' where '
                ~ is_unseen_load(previous['(states)'], '_row_xid') ~ '; analyze unread_rows;'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro upstreams_of_snapshot() -%}
    {#-
        One entry: the query of the snapshot, if its rows say when they were loaded and it reads this target only. Without it
        nothing is known of what the last run has seen.
    -#}
    {%- set columns = get_columns_in_query(model.compiled_code) -%}
    {%- set elsewhere = tables_of_snapshot() | rejectattr('is_here') | list -%}
    {%- if '_loaded_at' not in columns or '_row_xid' not in columns or elsewhere -%}
        {{ return([]) }}
    {%- endif -%}
    {{ return([{'name': '(states)', 'kind': 'loaded', 'is_query': true, 'relation': '(' ~ model.compiled_code ~ '\n) as states', 'is_elsewhere': false}]) }}
{%- endmacro %}


{% macro columns_of_snapshot() -%}
    {#- The columns of the query; those that it checks end with a star. -#}
    {%- set checked = config.get('check_cols') or [] -%}
    {%- set columns = [] -%}
    {%- for column in get_columns_in_query(model.compiled_code) -%}
        {%- do columns.append(column ~ ('*' if checked == 'all' or column in checked else '')) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}


{% macro newly_checked_columns(previous) -%}
    {#- Columns that the last run stored and did not check: their values are older than the rows that it has seen. -#}
    {%- set before = (previous.get('(columns)', {}).get('fingerprint') or '').split(',') -%}
    {%- set found = [] -%}
    {%- for column in columns_of_snapshot() if column.endswith('*') and column[:-1] in before -%}
        {%- do found.append(column[:-1]) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
