"""The real data sets, which are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.dbt_project import ROOT

# WAREHOUSE_SHARED is the folder that contains them; the default is `shared` beside the repository.
SHARED = Path(os.environ.get("WAREHOUSE_SHARED", ROOT.parent / "shared")) / "data"

needs_real_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the real data sets are not in {SHARED} (WAREHOUSE_SHARED)"
)
