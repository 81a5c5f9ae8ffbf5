{% macro user_versions() -%}
    {#- The configuration of a unit test is its own. -#}
    {%- if execute and model.resource_type == 'model' and not config.get('event_time') -%}
        {{ exceptions.raise_compiler_error(
            'user_versions in ' ~ model.name ~ ": the config event_time is missing; set it to the timestamp of the fact, such as event_time='ordered_at'."
        ) }}
    {%- endif -%}
    {{ return(upstream(ref('dim_users'), columns='user_id', lookup=this, except_when=has_user_key_at(config.get('event_time')))) }}
{%- endmacro %}
