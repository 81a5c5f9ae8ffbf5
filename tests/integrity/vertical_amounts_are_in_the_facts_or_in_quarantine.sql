-- The amounts of all staged lines and payments are those of the facts and of the rows in quarantine.
-- Values that are no amounts have no sum. Staging shows what was loaded since; a build of a part of
-- the facts cannot be compared with it.
with

lines as (
    select
        order_item_id as row_key,
        (quantity * price_at_purchase)::{{ amount_type() }} as amount
    from {{ ref('stg_app__order_items') }}
    where not is_deleted
        and {{ is_amount('quantity') }}
        and {{ is_amount('price_at_purchase') }}
        and {{ is_amount('quantity * price_at_purchase') }}
),

payments as (
    select
        payment_id as row_key,
        amount::{{ amount_type() }} as amount
    from {{ ref('stg_app__payments') }}
    where not is_deleted and {{ is_amount('amount') }}
),

staged as (
    select
        'order_items' as table_name,
        *
    from lines
    union all
    select
        'payments' as table_name,
        *
    from payments
),

excluded_rows as (
    select * from {{ ref('excluded_rows') }}
    where table_name in ('order_items', 'payments')
),

-- Rows without a key are excluded too.
excluded as (
    select
        staged.table_name,
        sum(staged.amount) as amount
    from staged
    left join excluded_rows
        on staged.table_name = excluded_rows.table_name
            and staged.row_key = excluded_rows.row_key
    where staged.row_key is null or excluded_rows.row_key is not null
    group by 1
),

taken as (
    select
        'order_items' as table_name,
        sum(line_amount) as amount
    from {{ ref('fct_order_items') }}
    union all
    select
        'payments' as table_name,
        sum(amount) as amount
    from {{ ref('fct_payments') }}
),

sums as (
    select
        table_name,
        sum(amount) as amount
    from staged
    group by 1
),

final as (
    select
        sums.table_name,
        sums.amount as staged_amount,
        taken.amount as taken_amount,
        coalesce(excluded.amount, 0) as excluded_amount
    from sums
    inner join taken on sums.table_name = taken.table_name
    left join excluded on sums.table_name = excluded.table_name
    where sums.amount != coalesce(taken.amount, 0) + coalesce(excluded.amount, 0)
        and {{ were_built_together() }}
)

select * from final
