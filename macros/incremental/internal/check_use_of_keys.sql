{% macro check_use_of_keys() -%}
    {#- The first build takes all rows, so it would pass; later builds would repeat them, or fail. -#}
    {%- if config.get('materialized') != 'incremental' or config.get('incremental_strategy') != 'changed_keys' -%}
        {{ exceptions.raise_compiler_error(
            'changed_keys in ' ~ model.name ~ " needs materialized='incremental' and incremental_strategy='changed_keys'; the config has materialized='"
            ~ config.get('materialized') ~ "'" ~ (" and incremental_strategy='" ~ config.get('incremental_strategy') ~ "'" if config.get('incremental_strategy'))
            ~ '.'
        ) }}
    {%- endif -%}
    {#- Without comments. Two dashes within a quoted text begin none. -#}
    {%- set text = modules.re.sub('("[^"\\n]*"|\'[^\'\\n]*\')|\\{#[\\s\\S]*?#\\}|/\\*[\\s\\S]*?\\*/|--.*', '\\1', model.raw_code) -%}
    {#- To add siblings to the keys is no use of them. -#}
    {%- for name in modules.re.findall('set\\s+(\\w+)\\s*=\\s*changed_keys\\s*\\(', text)
        if not modules.re.search('\\b' ~ name ~ '\\b', modules.re.sub('set\\s+' ~ name ~ '\\s*=(\\s*\\w+\\s*\\(\\s*' ~ name ~ '\\b)?', '', text)) -%}
        {{ exceptions.raise_compiler_error(
            'changed_keys in ' ~ model.name ~ ': nothing uses ' ~ name ~ ', so every build would select all rows. Add "where {{ is_changed('
            ~ name ~ ') }}" to the relation that has the key.'
        ) }}
    {%- endfor -%}
{%- endmacro %}
