-- A row stores 32 bits of a 64-bit number, so it may be from before or after the last wraparound of the counter.
{%- set turn = 4294967296 %}
{%- set cases = [
    ('in the first round', 5, 100, 5),
    ('written after the snapshot', 200, 100, 200),
    ('in the second round', 5, turn + 100, turn + 5),
    ('from before the turn', turn - 6, turn + 100, turn - 6),
    ('from after the turn, seen before it', 5, turn - 6, turn + 5),
    ('from after a later turn, seen before it', 5, 3 * turn - 6, 3 * turn + 5),
    ('half a round behind', 100, turn // 2 + 100, 100),
    ('half a round ahead', turn // 2 + 100, 100, turn // 2 + 100),
    ('just over half a round behind', 99, turn // 2 + 100, turn + 99),
    ('just over half a round ahead', turn // 2 + 101, turn + 100, turn // 2 + 101),
    ('older than the first round', turn - 6, 100, 0),
] %}

with

placed as (
    {% for what, row_xid, newest, expected in cases %}
        select
            '{{ what }}' as what,
            {{ full_xid(row_xid ~ '::bigint', newest ~ ':' ~ newest ~ ':') }} as actual,
            '{{ expected }}'::xid8 as expected
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

final as (
    select * from placed
    where actual is distinct from expected
)

select * from final
