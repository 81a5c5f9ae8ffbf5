-- Every staged row that is not deleted is either in its mart or in quarantine.excluded_rows, and the marts have no other rows.
-- Staging shows what was loaded since; a build of a part of the facts cannot be compared with it.
-- Dimensions keep rows that raw no longer has, and of a product whose update is excluded the version before it.
{%- set marts = {
    'users': {
        'staged': ref('stg_app__users'), 'key': 'user_id',
        'mart': ref('dim_users'), 'where': 'is_current and not is_deleted',
    },
    'products': {
        'staged': ref('stg_app__products'), 'key': 'product_id',
        'mart': ref('dim_products'), 'where': 'is_current and not is_deleted',
    },
    'categories': {
        'staged': ref('stg_app__categories'), 'key': 'category_id',
        'mart': ref('dim_categories'), 'where': 'category_key != ' ~ unknown_key(),
    },
    'orders': {
        'staged': ref('stg_app__orders'), 'key': 'order_id',
        'mart': ref('fct_orders'), 'where': 'true',
    },
    'order_items': {
        'staged': ref('stg_app__order_items'), 'key': 'order_item_id',
        'mart': ref('fct_order_items'), 'where': 'true',
    },
    'payments': {
        'staged': ref('stg_app__payments'), 'key': 'payment_id',
        'mart': ref('fct_payments'), 'where': 'true',
    },
    'user_sessions': {
        'staged': ref('stg_app__user_sessions'), 'key': 'session_id',
        'mart': ref('fct_user_sessions'), 'where': 'true',
    },
    'events': {
        'staged': ref('stg_app__events'), 'key': 'event_id',
        'mart': ref('fct_user_events'), 'where': 'true',
    },
    'consents': {
        'staged': ref('stg_app__consents'), 'key': 'consent_id',
        'mart': ref('fct_user_consents'), 'where': 'true',
    },
} %}
{%- set logged = {
    'users': ref('dim_users'),
    'products': ref('dim_products'),
    'categories': ref('dim_categories'),
    'orders': ref('fct_orders'),
} %}
{#- These facts do not log their key; a row of them is asked of when it is loaded. #}
{%- set orders_of_items = keys_to_test(
    'order_id', [ref('stg_app__orders'), ref('fct_order_items')],
    ignoring=[
        ref('fct_payments'), ref('fct_user_sessions'), ref('fct_user_events'),
        ref('fct_user_consents'), ref('excluded_rows')
    ], with_nulls=false
) %}
{#- Without `retain`, is_retained is true. #}
{%- set dated_by = {
    'orders': is_retained('ordered_at', 'fct_orders'),
    'payments': is_retained('paid_at', 'fct_payments'),
    'user_sessions': is_retained('started_at', 'fct_user_sessions'),
    'events': is_retained('event_timestamp', 'fct_user_events'),
} %}

with

excluded_rows as (
    select * from {{ ref('excluded_rows') }}
),

{% for table_name, each in marts.items() -%}
    {%- set upstreams = [each.staged] + ([logged[table_name]] if table_name in logged else []) %}
    {%- set rows_to_test = is_to_test(keys_to_test(each.key, upstreams, with_nulls=false)) %}
    {%- if table_name == 'order_items' %}
        {%- set rows_to_test = '(' ~ rows_to_test ~ ' or ' ~ is_to_test(orders_of_items) ~ ')' %}
    {%- endif %}
    staged_{{ table_name }} as (
        select {{ each.key }} as row_key
        from {{ each.staged }}
        where not is_deleted
            and {{ each.key }} is not null
            and {{ rows_to_test }}
            and (exclusion_reason is not null or {{ dated_by[table_name] or 'true' }})
    ),

    taken_{{ table_name }} as (
        select {{ each.key }} as row_key
        from {{ each.mart }}
        where {{ each.where }} and {{ each.key }} is not null and {{ rows_to_test }}
    ),

    excluded_{{ table_name }} as (
        select row_key
        from excluded_rows
        where table_name = '{{ table_name }}'
    ),

    {{ table_name }} as (
        select
            '{{ table_name }}' as table_name,
            coalesce(staged.row_key, taken.row_key) as row_key,
            staged.row_key is not null as is_staged,
            taken.row_key is not null as is_in_mart,
            excluded.row_key is not null as is_excluded
        from staged_{{ table_name }} as staged
        full outer join taken_{{ table_name }} as taken on staged.row_key = taken.row_key
        left join excluded_{{ table_name }} as excluded on staged.row_key = excluded.row_key
    ),
{% endfor %}

every_row as (
    {%- for table_name in marts %}
        select * from {{ table_name }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

final as (
    select * from every_row
    where {{ were_built_together() }}
        and (
            (is_staged and not is_in_mart and not is_excluded)
            or (not is_staged and table_name not in ('users', 'products'))
            or (is_in_mart and is_excluded and table_name != 'products')
        )
)

select * from final
