"""The last quality scores."""

from __future__ import annotations

from collections.abc import Iterator

from warehouse.metrics.reader import Reader, Sample

# Each run that scores gives all scores anew. The table of runs is small, that of scores is not.
_LAST = """
    select
        scope,
        name,
        score,
        extract(epoch from scored_at) as scored_at
    from {scores}
    where invocation_id = (
        select invocation_id
        from {runs}
        where quality_score is not null
        order by finished_at desc
        limit 1
    )
"""


def collect(reader: Reader) -> Iterator[Sample]:
    """Collect the quality scores."""
    scores = reader.own("observability", "quality_scores")
    runs = reader.own("observability", "runs")
    found = reader.rows(_LAST, scores=scores, runs=runs)
    for row in found:
        yield Sample("warehouse_quality_score", row.score, (row.scope, row.name))
    if found:
        newest = max(row.scored_at for row in found)
        yield Sample("warehouse_quality_score_timestamp_seconds", newest)
