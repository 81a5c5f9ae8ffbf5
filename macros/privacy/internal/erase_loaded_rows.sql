{% macro erase_loaded_rows() -%}
    {#-
        The source, or a load by another tool, may bring an erased person back. This comes before any model reads the rows. A role that
        may not write raw finds them, and stops.
    -#}
    {%- if run_query('select exists (select from ' ~ privacy_relation('erased_keys') ~ ')')[0][0] -%}
        {%- if not has_pseudonym_key() -%}
            {{ exceptions.raise_compiler_error(
                'Persons were erased from this warehouse, and this run has no key to recognize them by. Restore the key file, or set'
                ~ ' WAREHOUSE_PII_KEY_FILE, and build with `warehouse build`; dbt on its own takes the key from DBT_ENV_SECRET_PII_PADS'
                ~ ' (docs/privacy.md).'
            ) }}
        {%- endif -%}
        {%- set changed = run_query(
            'select privacy.erase_loaded(' ~ privacy_sources() ~ ", interval '" ~ var('load_overlap') ~ "', "
            ~ ('true' if flags.FULL_REFRESH else 'false') ~ ')'
        )[0][0] -%}
        {%- if changed -%}
            {%- do log('Erased again: ' ~ changed ~ ' loaded rows of persons who had been erased.', info=true) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro privacy_sources() -%}
    {{ return(quoted_texts([tojson(sources_with_persons() if execute else [])]) ~ '::jsonb') }}
{%- endmacro %}


{% macro sources_with_persons() -%}
    {#- The loaded tables that hold keys of persons, as privacy.erase_loaded takes them. -#}
    {%- set tables = tables_of_application() -%}
    {%- set person_keys = {} -%}
    {%- for name, table in tables.items() if table.primary_key in table.identifiers -%}
        {%- do person_keys.update({table.primary_key: name}) -%}
    {%- endfor -%}
    {%- set found = [] -%}
    {%- for name, table in tables.items() if table.identifiers | select('in', person_keys) | list -%}
        {%- set person = table.identifiers | select('in', person_keys) | first -%}
        {%- set devices = table.identifiers | reject('equalto', person) | list -%}
        {%- set keys = [{'column': person, 'identifier': person}] -%}
        {%- set is_anonymous = 't.' ~ adapter.quote(person) ~ ' is null' -%}
        {%- for device in devices -%}
            {%- do keys.append({'column': device, 'identifier': device, 'match_where': is_anonymous}) -%}
        {%- endfor -%}
        {%- set source = {
            'relation': table.relation, 'person': person, 'devices': [],
            'plan': {'keys': keys, 'cleared': table.personal, 'stamp': '_loaded_at'},
        } -%}
        {%- for device in devices -%}
            {%- do source.devices.append({'column': device}) -%}
        {%- endfor -%}
        {%- if table.primary_key == person -%}
            {%- do source.plan.update({'unique_key': person, 'identifier_of_key': person}) -%}
        {%- endif -%}
        {%- for parent_name, parent in tables.items()
            if table.personal and parent_name != name and parent.primary_key in table.other_keys and parent.primary_key != person
            and person in parent.identifiers -%}
            {%- do keys.append({
                'column': parent.primary_key, 'identifier': parent.primary_key, 'match_where': is_anonymous, 'is_kept': true
            }) -%}
            {%- set parent_keys = [{'column': person, 'identifier': person}] -%}
            {%- for device in parent.identifiers | reject('equalto', person) -%}
                {%- do parent_keys.append({'column': device, 'identifier': device, 'match_where': is_anonymous}) -%}
            {%- endfor -%}
            {%- do source.update({'parent': {'relation': parent.relation, 'key': parent.primary_key, 'keys': parent_keys}}) -%}
        {%- endfor -%}
        {%- do found.append(source) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro tables_of_application() -%}
    {#- By name: the key, the other keys, and the tagged columns of each table that is loaded. -#}
    {%- set tables = {} -%}
    {%- for source in graph.sources.values() if source.source_name == 'app' and source.name in var('sources_present') -%}
        {%- set identifiers = [] -%}
        {%- set personal = [] -%}
        {%- for name, column in source.columns.items() if column.meta.get('pii') -%}
            {%- do (identifiers if column.meta['pii'] == 'identifier' else personal).append(name) -%}
        {%- endfor -%}
        {%- do tables.update({source.name: {
            'relation': source.schema ~ '.' ~ source.identifier, 'primary_key': source.config.meta.primary_key,
            'other_keys': source.config.meta.get('keys') or [], 'identifiers': identifiers, 'personal': personal,
        }}) -%}
    {%- endfor -%}
    {{ return(tables) }}
{%- endmacro %}
