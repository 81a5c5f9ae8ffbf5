{{ config(
    unique_key='user_key',
    indexes=[
        {
            'columns': ['user_id', 'effective_date'], 'unique': true,
            'why': 'the version of a user at a moment',
        },
        {
            'name': 'dim_users_current',
            'columns': ['user_id'],
            'unique': true,
            'where': 'is_current',
            'why': 'one current version of each user',
        },
        {'columns': ['email'], 'why': 'a user by e-mail'},
        {'columns': ['signed_up_at'], 'where': 'is_current', 'why': 'users who signed up on some days'},
    ],
    no_overlaps={'key': 'user_id', 'valid_from': 'effective_date', 'valid_to': 'expiry_date'},
    meta={
        'change_log_keys': ['user_id', 'signed_up_at'],
        'needed_rows': [
            {
                'of': 'user_key != ' ~ unknown_key(),
                'where': 'signed_up_at is not null',
                'lack': 'a sign-up date (users.created_at), so that cohort_retention is empty',
            },
        ],
    },
) }}

{%- set changed_users = changed_keys('user_id') %}

with

states as (
    select *
    from {{ ref('snp_app__users') }}
    where {{ is_changed(changed_users) }} and exclusion_reason is null
),

dated as (
    {{ valid_intervals('states', 'user_id', attributes=[
        'email',
        'first_name',
        'last_name',
        'phone',
        'birth_date',
        'country',
        'subscription_tier',
        'is_deleted',
    ]) }}
),

users as (
    select
        {{ dbt_utils.generate_surrogate_key(['user_id', 'effective_date']) }} as user_key,
        user_id,
        email,
        first_name,
        last_name,
        phone,
        birth_date,
        country,
        subscription_tier,
        signed_up_at,
        effective_date,
        expiry_date,
        expiry_date = {{ end_of_time() }} as is_current,
        is_deleted
    from dated
    where effective_date < expiry_date
),

unknown_member as (
    select
        {{ unknown_key() }}::{{ text_type() }} as user_key,
        null::{{ text_type() }} as user_id,
        null::{{ text_type() }} as email,
        null::{{ text_type() }} as first_name,
        null::{{ text_type() }} as last_name,
        null::{{ text_type() }} as phone,
        null::date as birth_date,
        null::{{ text_type() }} as country,
        null::{{ text_type() }} as subscription_tier,
        null::{{ timestamp_type() }} as signed_up_at,
        {{ beginning_of_time() }} as effective_date,
        {{ end_of_time() }} as expiry_date,
        true as is_current,
        false as is_deleted
),

final as (
    select * from users
    union all
    select * from unknown_member
)

select * from final
