{% macro unread_sources() -%}
    {#- A model that does not read its source does not depend on it, so its name tells. -#}
    {%- set is_operation = flags.WHICH == 'run-operation' -%}
    {%- set unread = [] -%}
    {%- for source in graph.sources.values() if source.source_name == 'app' and source.name not in var('sources_present') -%}
        {%- if is_operation or 'model.' ~ source.package_name ~ '.stg_app__' ~ source.name in selected_resources -%}
            {%- do unread.append(source) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(unread) }}
{%- endmacro %}


{% macro warn_of_unread_sources(sources, rows_of_tables) -%}
    {#- The rows of a view or a foreign table can be slow to find; that somebody created it says enough. -#}
    {%- set tables = [] -%}
    {%- set found = {} -%}
    {%- for source in sources -%}
        {%- set row = rows_of_tables | selectattr('table_name', 'equalto', source.name) | first -%}
        {%- if row['relkind'] in ['v', 'f'] -%}
            {%- do found.update({source.name: 'exists'}) -%}
        {%- elif row['relkind'] and row['may_read'] -%}
            {%- do tables.append("select '" ~ source.name ~ "' as table_name where exists (select from " ~ source.relation_name ~ ')') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if tables -%}
        {%- for name in run_query(tables | join(' union all ')).columns[0].values() -%}
            {%- do found.update({name: 'has rows'}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- for source in sources if source.name in found -%}
        {%- do exceptions.warn(
            source.schema ~ '.' ~ source.identifier ~ ' ' ~ found[source.name] ~ ', but counts as empty: the variable sources_present lacks '
            ~ source.name ~ '.'
        ) -%}
    {%- endfor -%}
{%- endmacro %}
