"""`warehouse publish`: let the reporting views show what was built."""

from __future__ import annotations

from warehouse import console, dbt
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings


def publish() -> None:
    """Publish what was built to the reporting views, all at once.

    For schedulers that build models one by one: every `warehouse build`, `dbt build` and `dbt test`
    ends with it. Refuses, with the reasons, if a table below was not built since the last
    publication or failed, if a data test was not asked since or fails, or if the quality score is
    below min_quality_score.
    """
    preflight(settings())
    console.say(dbt.run_operation("publish"))
