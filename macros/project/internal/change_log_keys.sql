{% macro change_log_keys(node) -%}
    {%- set meta = node.config.get('meta', {}) -%}
    {%- if 'change_log_keys' in meta -%}
        {{ return(as_list(meta.change_log_keys)) }}
    {%- elif 'tracked_keys' in meta -%}
        {%- do warn_of_former_name('meta.tracked_keys of ' ~ node.name, 'meta.change_log_keys') -%}
        {{ return(as_list(meta.tracked_keys)) }}
    {%- endif -%}
    {{ return(as_list(node.config.get('unique_key'))) }}
{%- endmacro %}
