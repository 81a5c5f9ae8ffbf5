{% macro has_user_key_at(moment) -%}
    {#- A new version of a user leaves most of their facts unchanged; those need not be recomputed. -#}
    looked_up.user_key = coalesce((
        select users.user_key
        from {{ ref('dim_users').render() }} as users
        where users.user_id = looked_up.user_id
            and looked_up.{{ moment }} >= users.effective_date
            and looked_up.{{ moment }} < users.expiry_date
    ), {{ unknown_key() }})
{%- endmacro %}
