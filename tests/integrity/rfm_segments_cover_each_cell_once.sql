-- Each of the 25 cells of recency score and FM score has one segment, and nothing lies outside them.
with

cells as (
    select
        recency.n + 1 as recency_score,
        frequency_and_monetary.n + 1 as fm_score
    from ({{ whole_numbers(5) }}) as recency
    cross join ({{ whole_numbers(5) }}) as frequency_and_monetary
),

final as (
    select
        coalesce(cells.recency_score, segments.recency_score) as recency_score,
        coalesce(cells.fm_score, segments.fm_score) as fm_score,
        count(segments.rfm_segment) as segments
    from cells
    full outer join {{ ref('rfm_segments') }} as segments
        on cells.recency_score = segments.recency_score and cells.fm_score = segments.fm_score
    group by 1, 2
    having count(cells.fm_score) != 1 or count(segments.rfm_segment) != 1
)

select * from final
{% if flags.EMPTY %}where false{% endif %}
