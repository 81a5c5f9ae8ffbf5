{% macro check_loss() -%}
    {#-
        In the transaction of a full refresh, after the swap: the old table still exists as dbt's backup, and an error keeps it.
        Rows that staging has, deleted or excluded, would leave the table in an ordinary build as well.
    -#}
    {%- if execute and model.config.materialized == 'incremental' and should_full_refresh() and not flags.EMPTY and not is_sample() -%}
        {%- set staging = staging_of_key() -%}
        {%- set old = make_backup_relation(this, 'table') -%}
        {%- if staging and relation_in_catalog(old) -%}
            {%- set counts = run_query(
                'select (select count(*) from ' ~ old ~ ') as before, (select count(*) from ' ~ this ~ ') as after'
            )[0] -%}
            {%- if counts['before'] - counts['after'] > counts['before'] * (var('full_refresh_max_loss', 0.1) | float) -%}
                {%- do judge_loss(old, staging, counts['before'] | int, counts['after'] | int) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro staging_of_key() -%}
    {#- The staging view that has a row per row of this model. -#}
    {%- set key = as_list(config.get('unique_key')) -%}
    {%- for unique_id in model.depends_on.nodes if unique_id.split('.')[0] == 'model' and unique_id.split('.')[2].startswith('stg_') and key -%}
        {%- set node = graph.nodes[unique_id] -%}
        {%- if not key | reject('in', node.columns.keys() | list) | list -%}
            {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}


{% macro judge_loss(old, staging, before, after) -%}
    {%- set key = as_list(config.get('unique_key')) -%}
    {%- set lost = run_query(
        'select count(*) from ' ~ old ~ ' as old_row where not exists (select from ' ~ staging ~ ' as new_row where ' ~ have_same_key(key) ~ ')'
    )[0][0] | int -%}
    {%- set allowed = var('full_refresh_max_loss', 0.1) | float -%}
    {%- if lost > before * allowed -%}
        {%- set message = (
            this.schema ~ '.' ~ this.identifier ~ ': the full refresh would leave ' ~ after ~ ' of ' ~ before ~ ' rows; ' ~ lost
            ~ ' are no longer in the raw table, and cannot be restored; allowed are ' ~ (allowed * 100) | round(1)
            ~ ' % (variable full_refresh_max_loss)'
        ) -%}
        {%- if var('allow_loss', false) or env_var('WAREHOUSE_ALLOW_LOSS', '') == '1' -%}
            {%- do exceptions.warn(message ~ '.') -%}
        {%- else -%}
            {{ exceptions.raise_compiler_error(
                message ~ '. The table is unchanged. Build without --full-refresh, or give up these rows: warehouse build --allow-loss --full-refresh,'
                ~ " or dbt build --full-refresh --vars '{allow_loss: true}'."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
