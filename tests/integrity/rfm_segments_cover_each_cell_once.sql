-- Each of the 25 cells of recency score and FM score has one segment, and nothing lies outside them.
with recursive

numbers as (
    select 1 as score
    union all
    select score + 1 as score
    from numbers
    where score < 5
),

cells as (
    select
        recency.score as recency_score,
        frequency_and_monetary.score as fm_score
    from numbers as recency
    cross join numbers as frequency_and_monetary
),

segments as (
    select * from {{ ref('rfm_segments') }}
),

final as (
    select
        coalesce(cells.recency_score, segments.recency_score) as recency_score,
        coalesce(cells.fm_score, segments.fm_score) as fm_score,
        count(segments.rfm_segment) as segments
    from cells
    full outer join segments
        on cells.recency_score = segments.recency_score and cells.fm_score = segments.fm_score
    group by 1, 2
    having count(cells.fm_score) + count(segments.rfm_segment) != 2 {{ 'and false' if flags.EMPTY }}
)

select * from final
