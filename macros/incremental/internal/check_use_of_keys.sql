{% macro check_use_of_keys() -%}
    {#- The first build takes all rows, so it would pass; later builds would repeat them, or fail. -#}
    {%- do check_strategy('changed_keys') -%}
    {%- set text = code_without_comments() -%}
    {%- if modules.re.findall('\\b(?:changed_keys|skip_unless_changed)\\s*\\(', text) | length > 1 -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ' calls changed_keys or skip_unless_changed more than once; a run has one set of keys. Call changed_keys once, with upstreams'
            ~ ' for the relations whose key has another name.'
        ) }}
    {%- endif -%}
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


{% macro code_without_comments() -%}
    {#- Two dashes within a quoted text begin none. -#}
    {{ return(
        modules.re.sub('("[^"\\n]*"|\'[^\'\\n]*\')|\\{#[\\s\\S]*?#\\}|/\\*[\\s\\S]*?\\*/|--.*', '\\1', model.raw_code)
    ) }}
{%- endmacro %}


{% macro check_stock_incremental() -%}
    {#- Habits of stock dbt. The first build would pass, and the second delete what the query leaves out. -#}
    {%- if execute and modules.re.search('\\bis_incremental\\s*\\(', code_without_comments()) -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ' calls is_incremental(). With the strategy changed_keys, a query returns all rows of the keys of a run, and a row that it leaves'
            ~ " out is deleted. Remove the filter, call changed_keys at the top and add 'where {{ is_changed(keys) }}' (docs/incremental-models.md)."
        ) }}
    {%- elif execute and model.config.get('change_log_keys') is not none -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ": the config change_log_keys has no effect; set it in meta: meta={'change_log_keys': [...]}."
        ) }}
    {%- endif -%}
{%- endmacro %}
