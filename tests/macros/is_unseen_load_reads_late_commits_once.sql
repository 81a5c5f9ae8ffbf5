-- Seen through 10 May; every transaction below 100 had ended then, and of those from 100 the row does not say
-- enough: its number may be that of a subtransaction.
with

moments as (
    select
        '2026-05-10 00:00:00+00'::timestamptz as seen_through,
        '2026-05-10 00:00:00+00'::timestamptz - interval '{{ var("load_overlap") }}' as edge
),

cases as (
    select
        expectations.what,
        expectations.expected,
        expectations._row_xid,
        case expectations.since
            when 'seen_through' then moments.seen_through
            else moments.edge
        end + expectations.plus as _loaded_at
    from moments
    cross join (
        values
        ('newer', 'seen_through', interval '1 microsecond', 99::bigint, true),
        ('as new, seen', 'seen_through', '0', 99, false),
        ('as new, committed late', 'seen_through', '0', 100, true),
        ('as new, perhaps committed in between', 'seen_through', '0', 101, true),
        ('as new, begun afterwards', 'seen_through', '0', 102, true),
        ('at the edge of the overlap, committed late', 'edge', '0', 100, true),
        ('at the edge of the overlap, seen', 'edge', '0', 99, false),
        ('at the edge of the overlap, who knows', 'edge', '0', null, true),
        ('before the overlap', 'edge', '-1 microsecond', 100, false)
    ) as expectations (what, since, plus, _row_xid, expected)
),

judged as (
    select
        *,
        {{ is_unseen_load(
            {'loaded_through': '2026-05-10 00:00:00+00', 'run_snapshot': '100:102:100'}, '_row_xid'
        ) }} as actual
    from cases
),

final as (
    select * from judged
    where actual is distinct from expected
)

select * from final
