{% macro check_exclusions() -%}
    {#-
        In the transaction of a staging view, before a mart reads it: the rows that the marts have not read yet, and all rows if
        the view is new or changed, or the marts are rebuilt.
    -#}
    {%- if execute and not flags.EMPTY and not is_sample() and model.config.materialized == 'view' -%}
        {%- set table = table_of_staging() -%}
        {%- if table and table.name in var('sources_present') and table.config.meta.get('in_marts', true)
            and table.config.meta.get('primary_key') and 'exclusion_reason' in model.columns -%}
            {%- set read_through = none if flags.FULL_REFRESH or not is_left_alone() else moment_read_through() -%}
            {%- set counts = run_query(query_of_exclusions(table, read_through)) -%}
            {%- do judge_exclusions(table, counts, read_through) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro table_of_staging() -%}
    {%- for source_id in model.depends_on.nodes if source_id.startswith('source.') and model.name == 'stg_app__' ~ source_id.split('.')[-1] -%}
        {{ return(graph.sources[source_id]) }}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}


{% macro moment_read_through() -%}
    {#-
        A snapshot sees included rows only; it has read what was there when it was built. int_row_issues reads rows for no mart. None if
        there were no rows.
    -#}
    {{ return(run_query(
        "select coalesce(max(loaded_through) filter (where upstream_name != '(states)'), max(advanced_at) filter (where loaded_through"
        ~ " is not null))::text from " ~ state_relation('watermarks') ~ " where model_name != 'int_row_issues' and upstream_name = '" ~ state_name(model)
        ~ "' or upstream_name = '(states)' and model_name = '" ~ model.name.replace('stg_', 'snp_', 1) ~ "'"
    )[0][0]) }}
{%- endmacro %}


{% macro query_of_exclusions(table, read_through) -%}
    {#- A line without an order is excluded too: see excluded_rows. Rows of an order that is itself excluded count there. -#}
    {%- set key = table.config.meta.primary_key -%}
    {%- set parent = table.config.meta.get('parent') -%}
    {%- set parents = keys_of_parents(parent) if parent %}
    select
        reason,
        count(*) as row_count,
        min(row_key) filter (where reason is not null) as an_example
    from (
        select
            {{ 'staged.' ~ key if key in model.columns else 'null::text' }} as row_key,
            {%- if parents %}
            case
                when staged.exclusion_reason is not null then staged.exclusion_reason
                when not exists (
                    select from {{ parents }} as parents
                    where parents.{{ parent.column }}::text = staged.{{ parent.column }}
                ) then 'its {{ parent.column }} is not in {{ parent.table }}'
            end as reason
            {%- else %}
            staged.exclusion_reason as reason
            {%- endif %}
        from {{ this }} as staged
        where not staged.is_deleted {{ "and staged._loaded_at > '" ~ read_through ~ "'" if read_through }}
    ) as live
    group by reason
    order by row_count desc
{%- endmacro %}


{% macro keys_of_parents(parent) -%}
    {#-
        The raw table, because the view of the parents may be built after this one. Its key has another name in a project whose
        staging reads other columns: then the view, or none before its first build.
    -#}
    {%- set table = (graph.sources.values() | selectattr('source_name', 'equalto', 'app') | selectattr('name', 'equalto', parent.table) | first) -%}
    {%- if parent.column in table.columns -%}
        {{ return(builtins.source('app', parent.table).render()) }}
    {%- endif -%}
    {%- set node = node_of_name('model', 'stg_app__' ~ parent.table) -%}
    {%- set view = api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias) -%}
    {{ return(view if relation_in_catalog(view) else none) }}
{%- endmacro %}


{% macro judge_exclusions(table, counts, read_through) -%}
    {%- set total = counts.columns['row_count'].values() | sum | int -%}
    {%- set excluded = counts.rows | selectattr('reason') | list -%}
    {%- set excluded_count = excluded | sum(attribute='row_count') | int -%}
    {%- set is_accepted = var('accept_excluded', false) or env_var('WAREHOUSE_ACCEPT_EXCLUDED', '') == '1' -%}
    {%- set allowed = var('max_excluded_share', 0.1) | float -%}
    {#- A few rows are no sign of a wrong mapping, unless they are most of the table. -#}
    {%- if excluded_count > total * allowed and (excluded_count >= 20 or read_through is none and excluded_count * 2 > total) -%}
        {%- set reasons = [] -%}
        {%- for row in excluded -%}
            {%- do reasons.append(
                '- ' ~ row['row_count'] | int ~ (' row: ' if row['row_count'] == 1 else ' rows: ') ~ row['reason']
                ~ (', for example ' ~ table.config.meta.primary_key ~ ' ' ~ row['an_example'] if row['an_example'] is not none else '')
            ) -%}
        {%- endfor -%}
        {%- set message = (
            table.schema ~ '.' ~ table.identifier ~ ': ' ~ excluded_count ~ ' of ' ~ total
            ~ (' rows loaded since ' ~ read_through if read_through else ' rows') ~ ' are excluded from the marts; allowed are '
            ~ (allowed * 100) | round(1) ~ ' % (variable max_excluded_share).\n' ~ reasons | join('\n')
        ) -%}
        {%- if is_accepted -%}
            {%- do exceptions.warn(message) -%}
        {%- else -%}
            {{ exceptions.raise_compiler_error(
                message ~ '\nCorrect the table or its mapping (docs/adapting.md, section 8). To build without these rows: warehouse build'
                ~ " --accept-excluded, or dbt build --vars '{accept_excluded: true}'."
            ) }}
        {%- endif -%}
    {%- elif total == 0 and table.name in ['users', 'orders'] and not is_accepted -%}
        {%- if not run_query('select exists (select from ' ~ this ~ ' where not is_deleted)')[0][0] -%}
            {%- set message = table.schema ~ '.' ~ table.identifier ~ ' has no rows, so that most marts are empty' -%}
            {%- if env_var('WAREHOUSE_REQUIRES_ROWS', '') == '1' -%}
                {{ exceptions.raise_compiler_error(message ~ '. Load it; to build nevertheless: warehouse build --accept-excluded.') }}
            {%- endif -%}
            {%- do exceptions.warn(message ~ '.') -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
