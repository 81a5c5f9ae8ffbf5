{{ config(
    unique_key=['table_name', 'row_key', 'rule_name'],
    indexes=[
        {
            'columns': ['related_table', 'related_key'],
            'why': 'issues of rows whose user, order or other related row changed',
        },
        {
            'columns': ['row_key'],
            'where': "rule_name = 'email_is_of_one_user'",
            'why': 'users who shared an address',
        },
        {'columns': ['table_name', 'row_date'], 'why': 'issues of the days that changed'},
    ],
    meta={'change_log_keys': ['table_name', 'row_date']},
) }}

-- The relations that rules may join, by the column that they name, and the tables whose rows their changes find (below).
{%- set relations = {
    'users': {
        'relation': ref('stg_app__users'), 'key': 'user_id', 'found': ['users', 'orders'],
    },
    'namesakes': {
        'relation': ref('dim_users'), 'key': 'email', 'found': ['users'],
        'where': 'namesakes.is_current and not namesakes.is_deleted'
            ~ ' and namesakes.user_id != staged.user_id',
    },
    'categories': {
        'relation': ref('dim_categories'), 'key': 'category_id',
        'found': ['categories', 'products'],
    },
    'products': {
        'relation': ref('dim_products'), 'key': 'product_id', 'where': 'products.is_current',
        'found': [],
    },
    'orders': {
        'relation': ref('fct_orders'), 'key': 'order_id',
        'found': ['orders', 'order_items', 'payments'],
    },
    'user_sessions': {
        'relation': ref('stg_app__user_sessions'), 'key': 'session_id', 'found': ['user_sessions'],
    },
    'event_types': {'relation': ref('event_types'), 'key': 'event_type'},
    'order_statuses': {'relation': ref('order_statuses'), 'key': 'order_status'},
    'payment_statuses': {'relation': ref('payment_statuses'), 'key': 'payment_status'},
    'currencies': {'relation': ref('currencies'), 'key': 'currency'},
} %}

{%- do check_rule_joins(relations) %}

-- The rows to judge again when a row that their rules join has changed.
{%- set related_to_users %}
    select
        table_name,
        row_key,
        related_key as user_id
    from {{ this }}
    where related_table = 'users'
    union all
    select
        'users' as table_name,
        user_id as row_key,
        user_id
    from {{ ref('stg_app__users') }}
    union all
    select
        'orders' as table_name,
        order_id as row_key,
        user_id
    from {{ ref('fct_orders') }}
{%- endset %}

{%- set related_to_namesakes %}
    select
        'users' as table_name,
        namesakes.user_id as row_key,
        users.user_id
    from (select * from {{ ref('dim_users') }}) as users
    inner join (
        select * from {{ ref('dim_users') }}
        where is_current
    ) as namesakes on users.email = namesakes.email
    union all
    -- Users who shared an address are both listed, also if no version of one of them has it any more.
    select
        'users' as table_name,
        namesakes.row_key,
        users.row_key as user_id
    from {{ this }} as users
    inner join {{ this }} as namesakes
        on namesakes.rule_name = 'email_is_of_one_user'
            and {{ json_text('users.personal_data || users.row_data', 'email') }}
            = {{ json_text('namesakes.personal_data || namesakes.row_data', 'email') }}
    where users.rule_name = 'email_is_of_one_user'
{%- endset %}

{%- set related_to_orders %}
    select
        table_name,
        row_key,
        related_key as order_id
    from {{ this }}
    where related_table = 'orders'
    union all
    select
        'orders' as table_name,
        order_id as row_key,
        order_id
    from {{ ref('stg_app__orders') }}
    union all
    select
        'order_items' as table_name,
        order_item_id as row_key,
        order_id
    from {{ ref('stg_app__order_items') }}
    union all
    select
        'payments' as table_name,
        payment_id as row_key,
        order_id
    from {{ ref('fct_payments') }}
{%- endset %}

{%- set related_to_products %}
    select
        table_name,
        row_key,
        related_key as product_id
    from {{ this }}
    where related_table = 'products'
    union all
    select
        'products' as table_name,
        product_id as row_key,
        product_id
    from {{ ref('stg_app__products') }}
{%- endset %}

{%- set related_to_categories %}
    select
        'categories' as table_name,
        category_id as row_key,
        parent_id as category_id
    from {{ ref('stg_app__categories') }}
    union all
    select
        'products' as table_name,
        product_id as row_key,
        category_id
    from {{ ref('stg_app__products') }}
{%- endset %}

{%- set related_to_sessions %}
    select
        table_name,
        row_key,
        related_key as session_id
    from {{ this }}
    where related_table = 'user_sessions'
    union all
    select
        'user_sessions' as table_name,
        session_id as row_key,
        session_id
    from {{ ref('stg_app__user_sessions') }}
{%- endset %}

{%- set upstreams = [
    upstream(ref('stg_app__users'), columns='user_id', lookup='(' ~ related_to_users ~ ')'),
    upstream(ref('dim_users'), columns='user_id', lookup='(' ~ related_to_namesakes ~ ')'),
    upstream(ref('fct_orders'), columns='order_id', lookup='(' ~ related_to_orders ~ ')'),
    upstream(ref('fct_payments'), columns='order_id', lookup='(' ~ related_to_orders ~ ')'),
    upstream(ref('dim_products'), columns='product_id', lookup='(' ~ related_to_products ~ ')'),
    upstream(ref('dim_categories'), columns='category_id', lookup='(' ~ related_to_categories ~ ')'),
    upstream(
        ref('stg_app__user_sessions'), columns='session_id', lookup='(' ~ related_to_sessions ~ ')'
    ),
] %}
{%- set keys = {
    'users': 'user_id',
    'categories': 'category_id',
    'products': 'product_id',
    'orders': 'order_id',
    'order_items': 'order_item_id',
    'payments': 'payment_id',
    'user_sessions': 'session_id',
    'events': 'event_id',
    'consents': 'consent_id',
    'erasure_requests': 'request_id',
    'exchange_rates': 'exchange_rate_id',
} %}
-- The day of a row. A line has that of its order, or if there is none, the one on which it was last changed.
{%- set dates = {
    'users': local_date('staged.signed_up_at'),
    'orders': local_date('staged.ordered_at'),
    'order_items': local_date('coalesce(orders.ordered_at, staged.updated_at)'),
    'payments': local_date('staged.paid_at'),
    'user_sessions': local_date('staged.started_at'),
    'events': local_date('staged.event_timestamp'),
    'consents': local_date('staged.recorded_at'),
    'erasure_requests': local_date('staged.requested_at'),
    'exchange_rates': 'staged.rate_date',
} %}
{%- for table_name, key in keys.items() if table_name not in ['users', 'user_sessions'] %}
    {%- do upstreams.append(upstream(
        ref('stg_app__' ~ table_name), columns=key, key=["'" ~ table_name ~ "'::text", key]
    )) %}
{%- endfor %}
{%- set changed_rows = changed_keys(['table_name', 'row_key'], upstreams) %}

with

{% for table_name, key in keys.items() -%}
    {{ table_name }} as (
        {{ issues_of_table(
            table_name, key, relations, changed_rows, dates.get(table_name, 'null::date'),
            joins={'orders': 'order_id'} if table_name == 'order_items' else {}
        ) }}
    ),
{% endfor %}

final as (
    {%- for table_name in keys %}
        {{ 'union all' if not loop.first }}
        select * from {{ table_name }}
    {%- endfor %}
)

select * from final
