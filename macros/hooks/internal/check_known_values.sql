{% macro check_known_values() -%}
    {#- In the transaction of the model: the rows that this run wrote, and all rows of a new table. -#}
    {%- set known_values = model.config.meta.get('known_values') if execute and not flags.EMPTY and not is_sample() -%}
    {%- if known_values and not is_left_alone() -%}
        {%- set keys = key_columns_of_this_run() if run_query("select to_regclass('pg_temp.applied_changes') is not null")[0][0] else [] -%}
        {%- for column, seed_name in known_values.items() -%}
            {%- set seed = node_that_is_read(seed_name) -%}
            {%- do judge_known_values(column, seed, run_query(query_of_unknown_values(column, ref_to(seed), keys)).rows, keys | length > 0) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro node_that_is_read(name) -%}
    {%- for unique_id in model.depends_on.nodes if unique_id.split('.')[2] == name -%}
        {{ return(graph.nodes[unique_id]) }}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error(
        model.name ~ " has meta.known_values of '" ~ name ~ "', which its query does not read. Add ref('" ~ name ~ "') to the query, or remove the entry."
    ) }}
{%- endmacro %}


{% macro query_of_unknown_values(column, seed, keys) -%}
    {#- The most frequent values that are unknown, and in each row the totals. A column of keys has as many values as rows. -#}
    with written as (
        select {{ column }} as value, count(*) as row_count
        from {{ this }} as written
        {%- if keys %}
        where ({{ prefixed('written', keys) }}) in (select {{ keys | join(', ') }} from changed_keys)
        {%- endif %}
        group by 1
    ),

    judged as (
        select *, value is null or not exists (select from {{ seed }} as seed where seed.{{ column }} = written.value) as is_unknown
        from written
    )

    select
        regexp_replace(left(value::text, 100), '[[:cntrl:]]+', ' ', 'g') as value,
        row_count,
        count(*) over () as values_count,
        sum(row_count) over () as unknown_count,
        (select sum(row_count) from written) as total
    from judged
    where is_unknown
    order by row_count desc, judged.value
    limit 20
{%- endmacro %}


{% macro judge_known_values(column, seed, values, has_keys) -%}
    {%- set total = (values[0]['total'] if values else 0) | int -%}
    {%- set unknown_count = (values[0]['unknown_count'] if values else 0) | int -%}
    {%- set allowed = var('max_excluded_share', 0.1) | float -%}
    {%- if unknown_count > total * allowed and (unknown_count >= 20 or not has_keys and unknown_count * 2 > total) -%}
        {%- set meaning = 'they count for no revenue' if 'is_revenue' in seed.columns else 'they count as not paid' if 'is_paid' in seed.columns
            else 'their meaning is unknown' -%}
        {%- set message = (
            this.schema ~ '.' ~ this.identifier ~ ': ' ~ '{:,}'.format(unknown_count) ~ ' of ' ~ '{:,}'.format(total) ~ ' rows'
            ~ (' of this build' if has_keys) ~ ' have no ' ~ column ~ ' of ' ~ seed.original_file_path ~ ', so that ' ~ meaning ~ '; allowed are '
            ~ (allowed * 100) | round(1) ~ ' % (variable max_excluded_share): ' ~ named_values(values)
        ) -%}
        {%- do stop_or_warn(message, 'Say in the seed what each status means, or map it to one that is there') -%}
    {%- endif -%}
{%- endmacro %}
