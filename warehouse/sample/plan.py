"""The arguments of the generator, and everything that is derived from them alone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

# Increase it if the same arguments produce other files than before.
GENERATOR_VERSION = "2"

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# How busy each hour of the day is: quiet nights, busy evenings.
HOURS = np.array(
    [2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 11, 12, 11, 10, 10, 11, 12, 14, 16, 16, 13, 8, 4], float
)
_HOURS_CUMULATED = np.concatenate([[0.0], np.cumsum(HOURS) / HOURS.sum()])


@dataclass(frozen=True)
class Models:
    """Parameters of the models of the buyers; rates are per week, amounts in EUR."""

    buyer_share: float = 0.4
    weeks_to_first_purchase: float = 3.0
    # BG/NBD: purchase rate ~ Gamma(r, rate alpha), P(leave after a repeat) ~ Beta(a, b)
    r: float = 0.8
    alpha: float = 6.0
    a: float = 0.8
    b: float = 2.5
    # Gamma-Gamma: an order ~ Gamma(p, rate nu), nu ~ Gamma(q, rate v); mean p * v / (q - 1)
    p: float = 6.0
    q: float = 4.0
    v: float = 45.0


@dataclass(frozen=True)
class Plan:
    """The checked arguments of one run.

    Attributes:
        users: the number of users.
        days: the days of the history.
        seed: the random seed.
        out: the folder to write to.
        end_date: the last day of the history.
        format: the format of the files, one of `files.FORMATS`.
        loads: the number of folders that the history is split into; 1: only the last state.
        dirty: the rows of each kind of dirty rows, as a share of the table's rows.
        events_per_session: the mean number of events of a session.
        models: the parameters of the models.
    """

    users: int
    days: int
    seed: int
    out: Path
    end_date: date
    format: str = "parquet"
    loads: int = 1
    dirty: float = 0.002
    events_per_session: float = 8.0
    models: Models = Models()

    @property
    def end(self) -> int:
        """The first moment after the history, in microseconds since 1970 (UTC)."""
        midnight = datetime(
            self.end_date.year, self.end_date.month, self.end_date.day, tzinfo=UTC
        ) + timedelta(days=1)
        return int(midnight.timestamp()) * SECOND

    @property
    def start(self) -> int:
        """The first moment of the history, in microseconds since 1970 (UTC)."""
        return self.end - self.days * DAY

    @property
    def bounds(self) -> np.ndarray:
        """For each load, the first moment that it does not contain: midnights, and the end."""
        return self.start + (np.arange(1, self.loads + 1) * self.days // self.loads) * DAY

    @property
    def folders(self) -> list[Path]:
        """One folder per load; for a single load, the output folder."""
        if self.loads == 1:
            return [self.out]
        width = max(2, len(str(self.loads)))
        return [self.out / f"load_{number:0{width}d}" for number in range(1, self.loads + 1)]

    def rng(self, stream: str, *part: int) -> np.random.Generator:
        """The random numbers of one stream (a table, or a part of it).

        Each stream has its own generator, so that a change in one table changes no other.
        """
        seeds = np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(stream.encode()), *part))
        return np.random.Generator(np.random.PCG64(seeds))

    def load_of(self, moments: np.ndarray) -> np.ndarray:
        """The first load (from 0) that contains these moments."""
        found = np.searchsorted(self.bounds, moments, side="right")
        return np.minimum(found, self.loads - 1)

    def moments(self, days: np.ndarray) -> np.ndarray:
        """Moments from days since the start, moved to the busy hours of their day.

        The order of the moments stays the same.
        """
        whole = np.floor(days)
        hour = np.interp(days - whole, _HOURS_CUMULATED, np.arange(25) / 24)
        # whole milliseconds: applications rarely store more, and files get smaller
        exact = ((whole + hour) * (DAY // 1000)).astype(np.int64) * 1000
        return np.minimum(self.start + exact, self.end - 1000)

    def dirty_rows(self, rows: int, available: int | None = None) -> int:
        """The number of dirty rows of one kind in a table of `rows` rows: 2 to 1000."""
        if self.dirty <= 0 or rows == 0:
            return 0
        wanted = min(max(round(self.dirty * rows), 2), 1000)
        return wanted if available is None else min(wanted, available)
