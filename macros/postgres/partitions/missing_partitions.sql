{% macro missing_partitions(relation, rows_relation) -%}
    {#- As arguments of create_partition; rows_in is the default partition, which may hold rows that belong there. -#}
    {%- set partition_by = read_partition_by() -%}
    {%- set default_partition = default_partition_of(relation) -%}
    {%- set rows -%}
        {#- Rows of the default partition are checked with every batch; usually there are none. -#}
        (
            select {{ partition_by.quoted_field }} from {{ rows_relation }}
            {%- if default_partition %}
            union all
            select {{ partition_by.quoted_field }} from {{ default_partition }}
            {%- endif %}
        ) as arriving_rows
    {%- endset -%}
    {%- if partition_by.method == 'range' -%}
        {%- set missing = missing_ranges(relation, rows, period_of(rows_relation, partition_by), partition_by.quoted_field) -%}
    {%- elif partition_by.method == 'list' -%}
        {%- set missing = missing_values(relation, rows, partition_by) -%}
    {%- else -%}
        {%- set missing = [] if partitions_of(relation) else remainders(partition_by.partitions) -%}
    {%- endif -%}
    {%- for partition in missing if default_partition -%}
        {%- do partition.update({'rows_in': default_partition}) -%}
    {%- endfor -%}
    {%- if partition_by.default_partition and not default_partition -%}
        {%- do missing.append({'suffix': 'default', 'bounds': 'default'}) -%}
    {%- endif -%}
    {{ return(missing) }}
{%- endmacro %}


{% macro missing_ranges(relation, rows, period, field) -%}
    {#-
        The periods of the rows, and one ahead, unless a partition covers their beginning; each ends where the next existing
        partition begins.
    -#}
    {%- set query -%}
        with

        arriving as (
            select distinct {{ period.beginning }} as beginning
            from {{ rows }}
            where isfinite({{ field }})
        ),

        wanted as (
            select beginning from arriving
            union
            select max(beginning) + {{ period.length }} from arriving
        ),

        bounds as (
            select
                to_char(beginning, '{{ period.name_format }}') as suffix,
                {{ bound_of('beginning', period) }} as lower_bound,
                {{ bound_of('beginning + ' ~ period.length, period) }} as upper_bound
            from wanted
            where beginning is not null
        ),

        existing as (
            select
                lower_bound::{{ period.data_type }} as lower_bound,
                upper_bound::{{ period.data_type }} as upper_bound
            from {{ partition_bounds() }} as partitions
            where parent = '{{ relation }}'::regclass and not is_default
        )

        select
            suffix,
            lower_bound::text as lower_bound,
            {# A partition of a later part of the period may have been created manually. #}
            least(upper_bound, (
                select min(existing.lower_bound)
                from existing
                where existing.lower_bound > bounds.lower_bound
            ))::text as upper_bound
        from bounds
        where not exists (
            select 1
            from existing
            where bounds.lower_bound >= existing.lower_bound and bounds.lower_bound < existing.upper_bound
        )
        order by bounds.lower_bound
    {%- endset -%}
    {%- set missing = [] -%}
    {%- for row in run_query(query) -%}
        {%- do missing.append({
            'suffix': row['suffix'],
            'bounds': "for values from ('" ~ row['lower_bound'] ~ "') to ('" ~ row['upper_bound'] ~ "')",
            'condition': field ~ " >= '" ~ row['lower_bound'] ~ "' and " ~ field ~ " < '" ~ row['upper_bound'] ~ "'",
        }) -%}
    {%- endfor -%}
    {{ return(missing) }}
{%- endmacro %}


{% macro missing_values(relation, rows, partition_by) -%}
    {#- Compared by PostgreSQL in the type of the column: 1.5 and 1.50 are one value, and so are 'a' and the padded 'a  '. -#}
    {%- set field = partition_by.quoted_field -%}
    {%- set query -%}
        select
            format_type(atttypid, atttypmod) as data_type,
            (
                select string_agg(pg_get_partition_constraintdef(partition), ' or ')
                from {{ partition_bounds() }} as partitions
                where parent = attrelid and not is_default
            ) as condition
        from pg_attribute
        where attrelid = '{{ relation }}'::regclass and attname = '{{ partition_by.field }}'
    {%- endset -%}
    {%- set existing = run_query(query)[0] -%}
    {%- set query -%}
        select
            coalesce(left(regexp_replace(lower({{ field }}::text), '[^a-z0-9]+', '_', 'g'), 20), 'null')
            || '_' || left(md5(coalesce({{ field }}::text, 'null')), 6) as suffix,
            coalesce(quote_literal({{ field }}), 'NULL') as value
        from (select distinct {{ field }}::{{ existing['data_type'] }} as {{ field }} from {{ rows }}) as arriving_values
        where ({{ existing['condition'] or 'false' }}) is not true
        order by suffix
    {%- endset -%}
    {%- set missing = [] -%}
    {%- for row in run_query(query) -%}
        {%- do missing.append({
            'suffix': row['suffix'],
            'bounds': 'for values in (' ~ row['value'] ~ ')',
            'condition': field ~ ' is not distinct from ' ~ row['value'],
        }) -%}
    {%- endfor -%}
    {{ return(missing) }}
{%- endmacro %}


{% macro remainders(modulus) -%}
    {%- set found = [] -%}
    {%- for remainder in range(modulus) -%}
        {%- do found.append({
            'suffix': 'hash_' ~ remainder,
            'bounds': 'for values with (modulus ' ~ modulus ~ ', remainder ' ~ remainder ~ ')',
        }) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
