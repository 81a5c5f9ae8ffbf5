{% macro check_sources() -%}
    {#- Reads the catalog only, so that tables are checked before anything is built, and all mistakes are listed at once. -#}
    {%- set readers = readers_of_sources() if execute else {} -%}
    {%- if readers -%}
        {%- set findings = [] -%}
        {%- set unread = unread_sources() -%}
        {%- set rows_of_tables = columns_in_catalog((readers.values() | map(attribute='source') | list) + unread) -%}
        {%- for name, reader in readers.items() -%}
            {%- do findings.extend(findings_in_source(reader, rows_of_tables | selectattr('table_name', 'equalto', name) | list)) -%}
        {%- endfor -%}
        {%- if findings -%}
            {{ exceptions.raise_compiler_error(
                'The raw tables differ from the source contract, models/staging/app/_app__sources.yml, in ' ~ findings | length
                ~ (' place' if findings | length == 1 else ' places') ~ '; nothing was built.\n- ' ~ findings | join('\n- ')
            ) }}
        {%- endif -%}
        {%- do warn_of_unread_sources(unread, rows_of_tables) -%}
        {%- if flags.WHICH == 'run-operation' -%}
            {%- do log('The raw tables fulfil the source contract: ' ~ readers.keys() | join(', ') ~ '.', info=true) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
