"""The tables of a run of benchmarks/run.py, from its JSON.

    python -m benchmarks.report [benchmarks/results/full.json] [--write]

It prints them; with `--write` it puts them into benchmarks/README.md, between the two marks.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
MARKS = ("<!-- numbers of a run: begin -->", "<!-- numbers of a run: end -->")

FACT = "fct_user_events"
MOST_OF_HAND = 1.3
LEAST_FASTER_THAN_STOCK = 10
# What the bounds are about; a smaller shop says nothing of them.
EVENTS_OF_BOUNDS = 10_000_000
MOST_OF_SMALL = 1.3

# In a cell that this run did not measure.
NOTHING = "-"

Numbers = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Bound:
    """A bound, and what was measured.

    `measured` is None when this run did not measure it, `is_kept` also when its shop is too small.
    """

    what: str
    limit: str
    measured: float | None
    is_kept: bool | None


# --- Medians ----------------------------------------------------------------------------------


def median(values: Iterable[float]) -> float:
    """The median of the runs."""
    return statistics.median(values)


def daily(size: Numbers, of: Callable[[Numbers], float]) -> float | None:
    """The median of something over the days; None when no day has it."""
    try:
        return median(of(day) for day in size["daily"])
    except (KeyError, statistics.StatisticsError):
        return None


def fact_daily(size: Numbers) -> float | None:
    """The daily build of the events, in seconds."""
    return daily(size, lambda day: day["build"]["nodes"][FACT])


def stock_daily(size: Numbers, name: str) -> float | None:
    """The daily build by stock dbt, in seconds."""
    return daily(size, lambda day: day["stock"][name])


def fact_full(size: Numbers) -> float | None:
    """The full build of the events, in seconds."""
    return median(size["fact"]["ours"]) if "fact" in size else None


def by_hand(size: Numbers) -> float | None:
    """The same table by hand, in seconds."""
    return median(size["fact"]["by_hand"]) if "fact" in size else None


def by_hand_and_analyzed(size: Numbers) -> float | None:
    """The same table by hand with the statistics that a build leaves too, in seconds."""
    if "fact" not in size:
        return None
    return median(map(sum, zip(size["fact"]["by_hand"], size["fact"]["analyze"], strict=True)))


def peer_full(size: Numbers, name: str) -> float | None:
    """The full build by a peer, in seconds."""
    return median(size[name]["full"]) if name in size else None


DAILY: Mapping[str, Callable] = {
    "this project": fact_daily,
    "stock dbt-postgres": lambda size: stock_daily(size, "events_plain"),
    "stock, with two indexes": lambda size: stock_daily(size, "events_indexed"),
    "SQLMesh": lambda size: daily(size, lambda day: day["sqlmesh"]),
    "dbt-duckdb": lambda size: daily(size, lambda day: day["dbt-duckdb"]),
}


def divided(over: float | None, under: float | None) -> float | None:
    """A ratio, None when a part of it was not measured."""
    return over / under if over is not None and under else None


# --- Bounds -----------------------------------------------------------------------------------


def bounds(results: Numbers) -> list[Bound]:
    """What was promised of the largest history, and what this run says of it."""

    def judged(value: float | None, kept: Callable[[float], bool]) -> bool | None:
        applies = value is not None and large["events"] >= EVENTS_OF_BOUNDS
        return kept(value) if applies else None

    sizes = results["sizes"]
    large = sizes[-1]
    hand = divided(fact_full(large), by_hand(large))
    events = f"{large['events']:,} events"
    found = []
    for keys, (small_part, large_part) in {
        "scattered keys": (sizes[0], large),
        "keys that grow": (sizes[0].get("keys", {}), large.get("keys", {})),
    }.items():
        faster = divided(stock_daily(large_part, "events_plain"), fact_daily(large_part))
        growth = None
        if len(sizes) > 1:
            growth = divided(fact_daily(large_part), fact_daily(small_part))
        found += [
            Bound(
                f"a day of `{FACT}` is faster than stock dbt-postgres, {events}, {keys}",
                f"at least {LEAST_FASTER_THAN_STOCK} times",
                faster,
                judged(faster, lambda value: value >= LEAST_FASTER_THAN_STOCK),
            ),
            Bound(
                f"a day of `{FACT}` with {events}, against itself with"
                f" {sizes[0]['events']:,}, {keys}",
                f"at most {MOST_OF_SMALL} times",
                growth,
                judged(growth, lambda value: value <= MOST_OF_SMALL),
            ),
        ]
    return [
        *found,
        Bound(
            f"the full build of `{FACT}` against SQL written by hand, {events}",
            f"at most {MOST_OF_HAND} times",
            hand,
            judged(hand, lambda value: value <= MOST_OF_HAND),
        ),
    ]


# --- Tables -----------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def seconds(value: float | None) -> str:
    """A time with as many digits as it deserves."""
    if value is None:
        return NOTHING
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"


def times(value: float | None) -> str:
    """A ratio with as many digits as it deserves."""
    if value is None:
        return NOTHING
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def verdict(bound: Bound) -> str:
    """Kept or missed."""
    if bound.measured is None:
        return "not measured"
    said = {None: f"is for {EVENTS_OF_BOUNDS:,} events", True: "kept", False: "**missed**"}
    return said[bound.is_kept]


def bounds_table(results: Numbers) -> str:
    """The bounds with what was measured."""
    return table(
        ["what", "bound", "measured", ""],
        [
            [bound.what, bound.limit, times(bound.measured), verdict(bound)]
            for bound in bounds(results)
        ],
    )


def fact_table(sizes: Sequence[Numbers], title: str, builders: Mapping[str, Callable]) -> str:
    """Seconds of some builders, and their ratios to the first of them, for each size.

    Empty when none of them was measured.
    """
    head = [title]
    for size in sizes:
        head += [f"{size['events']:,} events", "ratio"]
    first = next(iter(builders.values()))
    rows = []
    for name, of in builders.items():
        row = [name]
        for size in sizes:
            row += [seconds(of(size)), times(divided(of(size), first(size)))]
        if set(row[1:]) != {NOTHING}:
            rows.append(row)
    return table(head, rows) if rows else ""


def whole_table(results: Numbers) -> str:
    """The whole build by day and in full, and the tests."""
    rows = []
    for size in results["sizes"]:
        day = daily(size, lambda day: day["build"]["wall"])
        full = None
        if "full" in size:
            full = median(build["wall"] for build in size["full"])
        tests = size.get("tests")
        rows.append(
            [
                f"{size['events']:,}",
                seconds(day),
                seconds(full),
                times(divided(full, day)),
                f"{seconds(tests['wall'])} for {tests['count']}" if tests else NOTHING,
            ]
        )
    return table(["events", "a day", "full refresh", "ratio", "the tests, once"], rows)


def shares_table(results: Numbers) -> str:
    """What each model takes of a day and of a full refresh of the largest history."""
    size = results["sizes"][-1]
    sides = []
    for builds in (
        [day["build"] for day in size.get("daily", [])],
        size.get("full", []),
    ):
        names = sorted({name for build in builds for name in build["nodes"]})
        medians = {name: median(build["nodes"].get(name, 0) for build in builds) for name in names}
        sides.append(medians)
    day, full = sides
    totals = [sum(side.values()) for side in sides]
    rows, views = [], [0.0, 0.0]
    for name in sorted(day | full, key=lambda name: (-day.get(name, 0), -full.get(name, 0))):
        if name.startswith("stg_"):
            views = [total + side.get(name, 0) for total, side in zip(views, sides, strict=True)]
            continue
        rows.append((f"`{name}`", [side.get(name) for side in sides]))
    rows.append(("the staging views", views))
    return table(
        ["model", "a day", "share", "full refresh", "share"],
        [
            [
                name,
                *(
                    cell
                    for value, total in zip(values, totals, strict=True)
                    for cell in (
                        seconds(value) if total else NOTHING,
                        f"{value / total:.0%}" if total and value is not None else NOTHING,
                    )
                ),
            ]
            for name, values in rows
        ],
    )


def questions_table(results: Numbers) -> str:
    """The questions on both sides, for the largest history, and the medians of all sizes."""
    sizes = [size for size in results["sizes"] if "questions" in size]
    ratios = {
        size["events"]: [
            median(question["raw"]) / median(question["marts"]) for question in size["questions"]
        ]
        for size in sizes
    }
    large = sizes[-1]
    rows = [
        [
            question["name"],
            seconds(median(question["marts"])),
            seconds(median(question["raw"])),
            times(ratio),
        ]
        for question, ratio in zip(large["questions"], ratios[large["events"]], strict=True)
    ]
    said = "; ".join(
        f"with {events:,} events the median question is {times(median(found))} times as fast on the"
        f" marts, and the one that gains least {times(min(found))} times"
        for events, found in ratios.items()
    )
    head = ["question", "marts", "raw tables", "ratio"]
    return f"{said[0].upper()}{said[1:]}.\n\n{table(head, rows)}"


def machine_line(results: Numbers) -> str:
    """The machine, the versions and the commit."""
    machine = results["machine"]
    peers = "".join(f", {name} {version}" for name, version in machine["peers"].items())
    return (
        f"Measured on {machine['date']} at commit {machine['commit']}, in"
        f" {results['minutes']} minutes, with {machine['cores']} cores ({machine['processor']}),"
        f" {machine['memory_gb']} GB of memory, load {machine['load_before']} before the start;"
        f" {machine['system']}, PostgreSQL {machine['postgresql']}, dbt-core {machine['dbt']},"
        f" dbt-postgres {machine['dbt_postgres']}{peers}. Medians of {results['runs']}"
        f" run{'s' if results['runs'] > 1 else ''}."
    )


def day_line(results: Numbers) -> str:
    """What a day was."""
    for size in reversed([part for one in results["sizes"] for part in (one.get("keys", {}), one)]):
        if size.get("daily"):
            counts = size["daily"][-1]["counts"]
            listed = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
            return f"The last day: {listed} (late events are among the new ones)."
    return "No day was measured."


def differ_line(results: Numbers) -> str:
    """What others leave otherwise than a full build would."""
    parts = []
    for size in results["sizes"]:
        for part, keys in ((size, ""), (size.get("keys", {}), ", keys that grow")):
            for name, rows in part.get("rows_that_differ", {}).items():
                parts.append(f"{name} {rows:,} of {size['events']:,}{keys}")
    if not parts:
        return ""
    return f"Events that are other than in `{FACT}` after all days: {', '.join(parts)}."


def fewer_line(results: Numbers) -> str:
    """How often the others were built in full, where that is less often than the rest."""
    runs = results["runs"]
    parts = [
        f"{name} {len(size[name]['full'])} of {runs} times with {size['events']:,} events"
        for size in results["sizes"]
        for name in ("sqlmesh", "dbt-duckdb")
        if name in size and len(size[name]["full"]) < runs
    ]
    parts += [
        f"everything {len(size['full'])} of {runs} times with {size['events']:,} events"
        for size in results["sizes"]
        if len(size.get("full", [])) in range(1, runs)
    ]
    if runs > 1 and any("stock_full" in size for size in results["sizes"]):
        parts.insert(0, f"stock dbt 1 of {runs} times")
    return f"Built in full less often than the rest: {', '.join(parts)}." if parts else ""


def tables(results: Numbers) -> str:
    """All tables of a run, in Markdown."""
    sizes = results["sizes"]
    parts = [
        machine_line(results),
        f"### The bounds\n\n{bounds_table(results)}",
        "### A day of the events\n\n"
        + "\n\n".join(
            [
                day_line(results),
                fact_table(sizes, f"a day of `{FACT}`, scattered keys", DAILY),
                fact_table(
                    [{**size.get("keys", {}), "events": size["events"]} for size in sizes],
                    f"a day of `{FACT}`, keys that grow",
                    DAILY,
                ),
                differ_line(results),
            ]
        ),
        "### The full build of the events\n\n"
        + fact_table(
            sizes,
            f"full build of `{FACT}`",
            {
                "by hand": by_hand,
                "by hand, and analyzed": by_hand_and_analyzed,
                "this project": fact_full,
                "stock dbt-postgres": lambda size: size.get("stock_full", {}).get("events_plain"),
                "stock, with two indexes": lambda size: size.get("stock_full", {}).get(
                    "events_indexed"
                ),
                "SQLMesh": lambda size: peer_full(size, "sqlmesh"),
                "dbt-duckdb": lambda size: peer_full(size, "dbt-duckdb"),
            },
        )
        + "\n\n"
        + fewer_line(results),
        f"### The whole build\n\n{whole_table(results)}\n\n{shares_table(results)}",
    ]
    if any("questions" in size for size in results["sizes"]):
        parts.append(f"### Ten questions\n\n{questions_table(results)}")
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(part.strip() for part in parts))


def written(text: str, numbers: str) -> str:
    """A text with other numbers between its marks.

    Raises SystemExit when the marks are not there, once and in this order.
    """
    begin, end = MARKS
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise SystemExit(f"The numbers go between two lines, '{begin}' and '{end}', once each.")
    before, after = text.split(begin)[0], text.split(end)[1]
    return f"{before}{begin}\n\n{numbers}\n\n{end}{after}"


def main() -> int:
    """Print the tables, or write them into the README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", type=Path, default=HERE / "results/full.json")
    parser.add_argument("--write", action="store_true", help=f"into {README.name}")
    arguments = parser.parse_args()
    if not arguments.results.exists():
        raise SystemExit(f"{arguments.results} is missing: run `make bench`, which writes it.")
    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    if arguments.write:
        text = README.read_text(encoding="utf-8")
        README.write_text(written(text, tables(results)), encoding="utf-8")
    else:
        print(tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
