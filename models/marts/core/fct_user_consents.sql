{{ config(
    unique_key='consent_id',
    indexes=[
        {'columns': ['user_id'], 'why': 'the decisions of a user, and of the users that changed'},
        {
            'columns': ['becomes_current_at'], 'where': 'becomes_current_at is not null',
            'why': 'decisions that are due by the clock',
        },
    ],
    event_time='valid_from',
    meta={
        'change_log_keys': ['user_id', 'date_key'],
        'needed_rows': [
            {
                'table': 'consents',
                'of': 'is_granted',
                'where': 'purpose = ' ~ marketing_purpose(),
                'lack': 'the purpose ' ~ marketing_purpose()
                    ~ ' (variable marketing_purpose), so that reporting.marketing_audience is empty',
                'shown': 'purpose',
            },
        ],
    },
) }}

{%- set changed_consents = changed_keys(
    'consent_id', [user_versions()], recompute_when='becomes_current_at <= ' ~ as_of()
) %}
{#- A decision ends the one before it, which no upstream logs. #}
{%- set changed_consents = with_siblings(
    changed_consents, ref('stg_app__consents'), 'user_id'
) %}

with

consents as (
    select
        *,
        -- A decision that does not say what was decided is no consent.
        coalesce(is_granted, false) as has_agreed
    from {{ ref('stg_app__consents') }}
    where {{ is_changed(changed_consents) }} and is_included
),

-- All decisions of a user are in consents, because they are recomputed together.
decisions as (
    select
        *,
        coalesce(
            lead(recorded_at) over (
                partition by user_id, purpose
                -- Of two decisions at the same moment, the withdrawal counts.
                order by recorded_at, has_agreed desc, consent_id
            ),
            {{ end_of_time() }}
        ) as valid_to
    from consents
),

users as (
    select * from {{ ref('dim_users') }}
),

final as (
    select
        decisions.consent_id,
        coalesce(users.user_key, {{ unknown_key() }}) as user_key,
        {{ date_key(local_date('decisions.recorded_at')) }} as date_key,
        decisions.user_id,
        decisions.purpose,
        decisions.has_agreed as is_granted,
        decisions.recorded_at <= {{ as_of() }} and decisions.valid_to > {{ as_of() }} as is_current,
        decisions.recorded_at as valid_from,
        decisions.valid_to,
        case when decisions.recorded_at > {{ as_of() }} then decisions.recorded_at end
            as becomes_current_at
    from decisions
    left join users
        on decisions.user_id = users.user_id
            and decisions.recorded_at >= users.effective_date
            and decisions.recorded_at < users.expiry_date
)

select * from final
