{% macro check_known_values() -%}
    {#- In the transaction of the model: the rows that this run wrote, and all rows of a new table. -#}
    {%- set known_values = model.config.meta.get('known_values') if execute and not flags.EMPTY and not is_sample() -%}
    {%- if known_values and not is_left_alone() -%}
        {%- set key = as_list(config.get('unique_key')) | join(', ') -%}
        {%- set has_keys = run_query(
            "select to_regclass('pg_temp.changed_keys') is not null and to_regclass('pg_temp.applied_changes') is not null"
        )[0][0] -%}
        {%- for column, seed_name in known_values.items() -%}
            {%- set node = node_of_name('seed', seed_name) -%}
            {%- set seed = api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias) -%}
            {%- set values = run_query(
                'select written.' ~ column ~ ' as value, seed.' ~ column ~ ' is not null as is_known, count(*) as row_count from ' ~ this ~ ' as written'
                ~ ' left join ' ~ seed ~ ' as seed on seed.' ~ column ~ ' = written.' ~ column
                ~ (' where (' ~ key ~ ') in (select ' ~ key ~ ' from changed_keys)' if has_keys) ~ ' group by 1, 2 order by 3 desc, 1'
            ) -%}
            {%- do judge_known_values(column, node, values.rows, has_keys) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro judge_known_values(column, seed, values, has_keys) -%}
    {%- set total = values | sum(attribute='row_count') | int -%}
    {%- set unknown = values | rejectattr('is_known') | list -%}
    {%- set unknown_count = unknown | sum(attribute='row_count') | int -%}
    {%- set allowed = var('max_excluded_share', 0.1) | float -%}
    {%- if unknown_count > total * allowed and (unknown_count >= 20 or not has_keys and unknown_count * 2 > total) -%}
        {%- set named = [] -%}
        {%- for row in unknown[:20] -%}
            {%- do named.append((row['value'] if row['value'] is not none else 'null') ~ ' (' ~ '{:,}'.format(row['row_count'] | int) ~ ')') -%}
        {%- endfor -%}
        {%- if unknown | length > 20 -%}
            {%- do named.append('and ' ~ (unknown | length - 20) ~ ' more') -%}
        {%- endif -%}
        {%- set message = (
            this.schema ~ '.' ~ this.identifier ~ ': ' ~ '{:,}'.format(unknown_count) ~ ' of ' ~ '{:,}'.format(total) ~ ' rows'
            ~ (' of this build' if has_keys) ~ ' have no ' ~ column ~ ' of ' ~ seed.original_file_path ~ ', so that they count for no revenue; allowed are '
            ~ (allowed * 100) | round(1) ~ ' % (variable max_excluded_share): ' ~ named | join(', ')
        ) -%}
        {%- if var('accept_excluded', false) or env_var('WAREHOUSE_ACCEPT_EXCLUDED', '') == '1' -%}
            {%- do exceptions.warn(message ~ '.') -%}
        {%- else -%}
            {{ exceptions.raise_compiler_error(
                message ~ '.\nSay in the seed what each status means, or map it to one that is there (docs/adapting.md). To build without this revenue:'
                ~ " warehouse build --accept-excluded, or dbt build --vars '{accept_excluded: true}'."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
