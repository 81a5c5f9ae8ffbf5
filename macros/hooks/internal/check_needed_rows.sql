{% macro check_needed_rows() -%}
    {#- In the transaction of a new table, or of one whose rows were all computed: a search ends at the first row, unless there is none. -#}
    {%- set rules = model.config.meta.get('needed_rows') if execute and not flags.EMPTY and not is_sample() -%}
    {%- if rules and not is_left_alone() and not has_written_keys() -%}
        {%- for rule in rules if rule.get('table', 'users') in var('sources_present') -%}
            {%- set rows = 'from ' ~ this ~ ' where ' ~ rule.get('of', 'true') -%}
            {%- set needed = rule.where | replace('{ref}', builtins.ref(rule.ref) | string if rule.ref else '') -%}
            {%- if run_query('select exists (select ' ~ rows ~ ') and not exists (select ' ~ rows ~ ' and ' ~ needed ~ ')')[0][0] -%}
                {%- do judge_needed_rows(rule, rows) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro judge_needed_rows(rule, rows) -%}
    {%- set count = run_query('select count(*) ' ~ rows)[0][0] | int -%}
    {%- set message = this.schema ~ '.' ~ this.identifier ~ ': none of ' ~ '{:,}'.format(count) ~ ' rows has ' ~ rule.lack -%}
    {%- if rule.shown -%}
        {%- set message = message ~ ': ' ~ named_values(
            run_query(
                'select ' ~ rule.shown ~ ' as value, count(*) as row_count, count(*) over () as values_count ' ~ rows
                ~ ' group by 1 order by 2 desc, 1 limit 20'
            ).rows
        ) -%}
    {%- endif -%}
    {#- A few rows are no sign of a wrong mapping. -#}
    {%- if rule.get('stops') and count >= 20 -%}
        {%- do stop_or_warn(message, 'Correct the table or its mapping') -%}
    {%- else -%}
        {%- do exceptions.warn(message ~ ' (docs/adapting.md).') -%}
    {%- endif -%}
{%- endmacro %}


{% macro has_written_keys() -%}
    {#- Else the table is new, or all of its rows were computed. -#}
    {{ return(run_query(
        "select to_regclass('pg_temp.changed_keys') is not null and to_regclass('pg_temp.applied_changes') is not null"
    )[0][0]) }}
{%- endmacro %}
