{% macro has_user_key_at(moment) -%}
    {#- A new version of a user leaves most of their facts unchanged; those need not be recomputed. -#}
    led.user_key = coalesce((
        select users.user_key
        from {{ ref('dim_users').render() }} as users
        where users.user_id = led.user_id
            and led.{{ moment }} >= users.effective_date
            and led.{{ moment }} < users.expiry_date
    ), {{ unknown_key() }})
{%- endmacro %}
