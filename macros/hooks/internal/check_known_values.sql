{% macro check_known_values() -%}
    {#- In the transaction of the model: the rows that this run wrote, and all rows of a new table. -#}
    {%- set known_values = model.config.meta.get('known_values') if execute and not flags.EMPTY and not is_sample() -%}
    {%- if known_values and not is_left_alone() -%}
        {%- set key = as_list(config.get('unique_key')) | join(', ') -%}
        {%- set has_keys = has_written_keys() -%}
        {%- for column, known in known_values.items() -%}
            {%- set is_seed = known is string -%}
            {%- set node = node_of_name('seed', known) if is_seed -%}
            {%- set values = run_query(
                'select written.' ~ column ~ ' as value, ' ~ ('seed.' ~ column ~ ' is not null' if is_seed else known.where) ~ ' as is_known,'
                ~ ' count(*) as row_count from ' ~ this ~ ' as written'
                ~ (' left join ' ~ builtins.ref(known) ~ ' as seed on seed.' ~ column ~ ' = written.' ~ column if is_seed)
                ~ (' where (' ~ key ~ ') in (select ' ~ key ~ ' from changed_keys)' if has_keys) ~ ' group by 1, 2 order by 3 desc, 1'
            ) -%}
            {%- do judge_known_values(
                'have no ' ~ column ~ ' of ' ~ node.original_file_path ~ ', so that they count for no revenue' if is_seed else 'have ' ~ known.lack,
                'Say in the seed what each status means, or map it to one that is there' if is_seed else known.remedy,
                values.rows, has_keys
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro has_written_keys() -%}
    {#- Else the table is new, or all of its rows were computed. -#}
    {{ return(run_query(
        "select to_regclass('pg_temp.changed_keys') is not null and to_regclass('pg_temp.applied_changes') is not null"
    )[0][0]) }}
{%- endmacro %}


{% macro judge_known_values(lack, remedy, values, has_keys) -%}
    {%- set total = values | sum(attribute='row_count') | int -%}
    {%- set unknown = values | rejectattr('is_known') | list -%}
    {%- set unknown_count = unknown | sum(attribute='row_count') | int -%}
    {%- set allowed = var('max_excluded_share', 0.1) | float -%}
    {%- if unknown_count > total * allowed and (unknown_count >= 20 or not has_keys and unknown_count * 2 > total) -%}
        {%- set message = (
            this.schema ~ '.' ~ this.identifier ~ ': ' ~ '{:,}'.format(unknown_count) ~ ' of ' ~ '{:,}'.format(total) ~ ' rows'
            ~ (' of this build' if has_keys) ~ ' ' ~ lack ~ '; allowed are ' ~ (allowed * 100) | round(1) ~ ' % (variable max_excluded_share): ' ~ named_values(unknown)
        ) -%}
        {%- do stop_or_warn(message, remedy, 'without this revenue') -%}
    {%- endif -%}
{%- endmacro %}


{% macro named_values(rows) -%}
    {#- The values with their numbers of rows, at most 20. -#}
    {%- set named = [] -%}
    {%- for row in rows[:20] -%}
        {%- do named.append((row['value'] if row['value'] is not none else 'null') ~ ' (' ~ '{:,}'.format(row['row_count'] | int) ~ ')') -%}
    {%- endfor -%}
    {%- if rows | length > 20 -%}
        {%- do named.append('and ' ~ (rows | length - 20) ~ ' more') -%}
    {%- endif -%}
    {{ return(named | join(', ')) }}
{%- endmacro %}


{% macro stop_or_warn(message, remedy, without) -%}
    {%- if var('accept_excluded', false) or env_var('WAREHOUSE_ACCEPT_EXCLUDED', '') == '1' -%}
        {%- do exceptions.warn(message ~ '.') -%}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            message ~ '.\n' ~ remedy ~ ' (docs/adapting.md). To build ' ~ without ~ ": warehouse build --accept-excluded, or dbt build --vars"
            ~ " '{accept_excluded: true}'."
        ) }}
    {%- endif -%}
{%- endmacro %}
