{% macro user_versions() -%}
    {{ return(upstream(ref('dim_users'), columns='user_id', lookup=this, except_when=has_user_key_at(config.get('event_time')))) }}
{%- endmacro %}
