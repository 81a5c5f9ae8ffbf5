{% macro check_use_of_keys() -%}
    {#- The first build takes all rows, so it would pass; later builds would repeat them, or fail. -#}
    {%- do check_strategy('changed_keys') -%}
    {#- Without comments. Two dashes within a quoted text begin none. -#}
    {%- set text = modules.re.sub('("[^"\\n]*"|\'[^\'\\n]*\')|\\{#[\\s\\S]*?#\\}|/\\*[\\s\\S]*?\\*/|--.*', '\\1', model.raw_code) -%}
    {#- The statements that compute the keys do not use them, nor do those that add siblings. -#}
    {%- set statement = '\\{%-?\\s*(?:set\\s+(\\w+)\\s*=|do\\b)(?:(?!%\\})[\\s\\S])*?\\b(?:changed_keys|with_siblings)\\s*\\((?:(?!%\\})[\\s\\S])*%\\}' -%}
    {%- set names = modules.re.findall(statement, text) -%}
    {%- set rest = modules.re.sub(statement, '', text) -%}
    {%- set used = modules.re.findall('\\w+', rest) -%}
    {%- if names and not names | select('in', used) | list and not modules.re.search('\\b(?:from|join)\\s+changed_keys\\b', rest) -%}
        {%- set name = names | select | list | last | default('keys', true) -%}
        {{ exceptions.raise_compiler_error(
            'changed_keys in ' ~ model.name ~ ': nothing uses ' ~ name ~ ', so every build would select all rows. Add "where {{ is_changed('
            ~ name ~ ') }}" to the relation that has the key.'
        ) }}
    {%- endif -%}
{%- endmacro %}


{% macro check_strategy(macro_name) -%}
    {%- if config.get('materialized') != 'incremental' or config.get('incremental_strategy') != 'changed_keys' -%}
        {{ exceptions.raise_compiler_error(
            macro_name ~ ' in ' ~ model.name ~ " needs materialized='incremental' and incremental_strategy='changed_keys'; the config has materialized='"
            ~ config.get('materialized') ~ "'" ~ (" and incremental_strategy='" ~ config.get('incremental_strategy') ~ "'" if config.get('incremental_strategy'))
            ~ '.'
        ) }}
    {%- endif -%}
{%- endmacro %}
