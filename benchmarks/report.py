"""Render the JSON results of benchmarks/run.py as tables.

    python -m benchmarks.report [benchmarks/results/full.json] [--write]

Prints the tables; with `--write`, writes them into benchmarks/README.md, between the two marks.
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
# The bounds apply to this size only.
EVENTS_OF_BOUNDS = 10_000_000
MOST_OF_SMALL = 1.3
MOST_SECONDS_OF_A_DAY = 20
MOST_OF_SMALL_DAY = 1.5
MOST_OF_UNTESTED_DAY = 1.3
LEAST_FASTER_THAN_FULL = 15
# A shorter node measures dbt rather than the model.
LEAST_SECONDS_OF_A_MODEL = 0.5

# Shown in cells that this run did not measure.
NOTHING = "-"

Numbers = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Bound:
    """A bound and its measured value.

    `measured` is None if this run did not measure it; `is_kept` is also None if the history is too
    small.
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
    """The median of a value over the days; None if no day has it."""
    try:
        return median(of(day) for day in size["daily"])
    except (KeyError, statistics.StatisticsError):
        return None


def fact_daily(size: Numbers) -> float | None:
    """The daily build of the events, in seconds."""
    return daily(size, lambda day: day["build"]["nodes"][FACT])


def models_daily(size: Numbers) -> float | None:
    """The sum of all models, snapshots and seeds of a daily build, in seconds."""
    return daily(size, lambda day: sum(day["build"]["nodes"].values()))


def whole_daily(size: Numbers) -> float | None:
    """The daily build of the whole project, in seconds."""
    return daily(size, lambda day: day["build"]["wall"])


def whole_full(size: Numbers) -> float | None:
    """The full refresh of the whole project, in seconds."""
    return median(build["wall"] for build in size["full"]) if size.get("full") else None


def tested_and_bare(size: Numbers) -> tuple[float | None, float | None]:
    """A daily build with its tests, and one without any test, in seconds."""
    days = size.get("tested_days")
    if not days:
        return None, None
    with_tests, without = (days[kind] for kind in ("with", "without"))
    return median(day["wall"] for day in with_tests), median(day["wall"] for day in without)


def nodes_of(builds: Sequence[Numbers]) -> dict[str, float]:
    """The median seconds of each node; 0 for builds that lack it."""
    names = sorted({name for build in builds for name in build["nodes"]})
    return {name: median(build["nodes"].get(name, 0) for build in builds) for name in names}


def dearest_on_a_day(size: Numbers) -> tuple[str, float] | None:
    """The model whose daily build costs most relative to its full refresh, and this ratio.

    None if the run did not measure both, or if all models are too short.
    """
    day = nodes_of([day["build"] for day in size.get("daily", [])])
    full = nodes_of(size.get("full", []))
    ratios = {
        name: seconds_of_day / full[name]
        for name, seconds_of_day in day.items()
        if seconds_of_day >= LEAST_SECONDS_OF_A_MODEL and full.get(name)
    }
    return max(ratios.items(), key=lambda item: item[1]) if ratios else None


def rebuilt_with_stock_events(size: Numbers, name: str) -> float | None:
    """A day with stock incremental events and all other tables rebuilt, in seconds."""
    whole, events = whole_full(size), stock_daily(size, name)
    if whole is None or events is None:
        return None
    return whole - nodes_of(size["full"]).get(FACT, 0) + events


def stock_daily(size: Numbers, name: str) -> float | None:
    """The daily build by stock dbt, in seconds."""
    return daily(size, lambda day: day["stock"][name])


def fact_full(size: Numbers) -> float | None:
    """The full build of the events, in seconds."""
    return median(size["fact"]["ours"]) if "fact" in size else None


def by_hand(size: Numbers) -> float | None:
    """The same table with hand-written SQL, in seconds."""
    return median(size["fact"]["by_hand"]) if "fact" in size else None


def by_hand_and_analyzed(size: Numbers) -> float | None:
    """The same table with hand-written SQL, plus ANALYZE as in a build, in seconds."""
    if "fact" not in size:
        return None
    return median(map(sum, zip(size["fact"]["by_hand"], size["fact"]["analyze"], strict=True)))


def peer_full(size: Numbers, name: str) -> float | None:
    """The full build by a peer, in seconds."""
    return median(size[name]["full"]) if name in size else None


WHOLE_DAYS: Mapping[str, Callable] = {
    "this project": whole_daily,
    "every table rebuilt": whole_full,
    "events with stock incremental, all other tables rebuilt": lambda size: (
        rebuilt_with_stock_events(size, "events_plain")
    ),
    "the same, with two indexes": lambda size: rebuilt_with_stock_events(size, "events_indexed"),
}

DAILY: Mapping[str, Callable] = {
    "this project": fact_daily,
    "stock dbt-postgres": lambda size: stock_daily(size, "events_plain"),
    "stock, with two indexes": lambda size: stock_daily(size, "events_indexed"),
    "SQLMesh": lambda size: daily(size, lambda day: day["sqlmesh"]),
    "dbt-duckdb": lambda size: daily(size, lambda day: day["dbt-duckdb"]),
}


def divided(over: float | None, under: float | None) -> float | None:
    """A ratio; None if either value was not measured."""
    return over / under if over is not None and under else None


# --- Bounds -----------------------------------------------------------------------------------


def bounds(results: Numbers) -> list[Bound]:
    """The bounds for the largest history, with the values of this run."""

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
        "growing keys": (sizes[0].get("keys", {}), large.get("keys", {})),
    }.items():
        faster = divided(stock_daily(large_part, "events_plain"), fact_daily(large_part))
        growth = None
        if len(sizes) > 1:
            growth = divided(fact_daily(large_part), fact_daily(small_part))
        found += [
            Bound(
                f"daily build of `{FACT}`, speed-up over stock dbt-postgres, {events}, {keys}",
                f"at least {LEAST_FASTER_THAN_STOCK} times",
                faster,
                judged(faster, lambda value: value >= LEAST_FASTER_THAN_STOCK),
            ),
            Bound(
                f"daily build of `{FACT}` with {events}, relative to"
                f" {sizes[0]['events']:,}, {keys}",
                f"at most {MOST_OF_SMALL} times",
                growth,
                judged(growth, lambda value: value <= MOST_OF_SMALL),
            ),
        ]
    return [
        *found,
        Bound(
            f"full build of `{FACT}`, relative to hand-written SQL, {events}",
            f"at most {MOST_OF_HAND} times",
            hand,
            judged(hand, lambda value: value <= MOST_OF_HAND),
        ),
        *bounds_of_days(sizes, judged),
    ]


def bounds_of_days(
    sizes: Sequence[Numbers],
    judged: Callable[[float | None, Callable[[float], bool]], bool | None],
) -> list[Bound]:
    """The bounds for a day of the whole project."""
    small, large = sizes[0], sizes[-1]
    events = f"{large['events']:,} events"
    day = models_daily(large)
    growth = divided(day, models_daily(small)) if len(sizes) > 1 else None
    dearest = dearest_on_a_day(large)
    ratio = dearest[1] if dearest else None
    faster = divided(whole_full(large), whole_daily(large))
    tested = divided(*tested_and_bare(large))
    return [
        Bound(
            f"daily build of all models together, {events}",
            f"at most {MOST_SECONDS_OF_A_DAY} s",
            day,
            judged(day, lambda value: value <= MOST_SECONDS_OF_A_DAY),
        ),
        Bound(
            f"daily build of all models together with {events}, relative to {small['events']:,}",
            f"at most {MOST_OF_SMALL_DAY} times",
            growth,
            judged(growth, lambda value: value <= MOST_OF_SMALL_DAY),
        ),
        Bound(
            f"daily build of {f'`{dearest[0]}`' if dearest else 'any model'}, relative to its full"
            f" build, {events}; the highest of the models of {LEAST_SECONDS_OF_A_MODEL} s or more",
            "at most 1 times",
            ratio,
            judged(ratio, lambda value: value <= 1),
        ),
        Bound(
            f"daily build of the whole project, speed-up over the full refresh, {events}",
            f"at least {LEAST_FASTER_THAN_FULL} times",
            faster,
            judged(faster, lambda value: value >= LEAST_FASTER_THAN_FULL),
        ),
        Bound(
            f"daily build with its tests, relative to one without any test, {events}, four threads",
            f"at most {MOST_OF_UNTESTED_DAY} times",
            tested,
            judged(tested, lambda value: value <= MOST_OF_UNTESTED_DAY),
        ),
    ]


# --- Tables -----------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def seconds(value: float | None) -> str:
    """A time with a sensible number of digits."""
    if value is None:
        return NOTHING
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"


def times(value: float | None) -> str:
    """A ratio with a sensible number of digits."""
    if value is None:
        return NOTHING
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def verdict(bound: Bound) -> str:
    """Whether the bound was met."""
    if bound.measured is None:
        return "not measured"
    said = {None: f"applies to {EVENTS_OF_BOUNDS:,} events", True: "met", False: "**missed**"}
    return said[bound.is_kept]


def bounds_table(results: Numbers) -> str:
    """The bounds with the measured values."""
    return table(
        ["measurement", "bound", "measured", ""],
        [
            [bound.what, bound.limit, times(bound.measured), verdict(bound)]
            for bound in bounds(results)
        ],
    )


def fact_table(sizes: Sequence[Numbers], title: str, builders: Mapping[str, Callable]) -> str:
    """Seconds of each builder, and the ratio to the first one, for each size.

    Empty if none was measured.
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
    """The whole project: daily build, full refresh, and tests."""
    rows = []
    for size in results["sizes"]:
        day, full = whole_daily(size), whole_full(size)
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
    return table(["events", "daily build", "full refresh", "ratio", "tests, one run"], rows)


def tested_table(results: Numbers) -> str:
    """Daily builds with tests and without."""
    rows = []
    for size in results["sizes"]:
        tested, bare = tested_and_bare(size)
        if tested is None:
            continue
        days = size["tested_days"]["with"]
        rows.append(
            [
                f"{size['events']:,}",
                seconds(tested),
                seconds(bare),
                times(divided(tested, bare)),
                f"{median(day['asked'] for day in days):.0f}",
                f"{median(day['left_out'] for day in days):.0f}",
            ]
        )
    head = ["events", "a day with tests", "without", "ratio", "tests visited", "left out"]
    return table(head, rows) if rows else ""


def whole_days(results: Numbers) -> str:
    """A day of the whole project compared with what a stock project would do."""
    compared = fact_table(results["sizes"], "a day of the whole project", WHOLE_DAYS)
    if not compared:
        return ""
    return (
        "A stock project that is as correct as this one rebuilds every table each day; its time is"
        " that of the full refresh of the same models. Only the events are measured with stock"
        " incremental models: the other two rows replace the full build of the events by that"
        " time, and keep the full builds of all other models. Their events are wrong, as counted"
        f" above.\n\n{compared}"
    )


def shares_table(results: Numbers) -> str:
    """The share of each model in a daily build and in a full refresh, for the largest history."""
    size = results["sizes"][-1]
    day = nodes_of([day["build"] for day in size.get("daily", [])])
    full = nodes_of(size.get("full", []))
    sides = [day, full]
    totals = [sum(side.values()) for side in sides]
    rows, views = [], [0.0, 0.0]
    for name in sorted(day | full, key=lambda name: (-day.get(name, 0), -full.get(name, 0))):
        if name.startswith("stg_"):
            views = [total + side.get(name, 0) for total, side in zip(views, sides, strict=True)]
            continue
        rows.append((f"`{name}`", [side.get(name) for side in sides]))
    rows.append(("staging views", views))
    return table(
        ["model", "daily build", "share", "full refresh", "share"],
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
    """The questions for the largest history, and the median ratios of all sizes."""
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
        f"with {events:,} events, the median question is {times(median(found))} times as fast on"
        f" the marts, and the least improved one {times(min(found))} times"
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
    """The contents of a day."""
    for size in reversed([part for one in results["sizes"] for part in (one.get("keys", {}), one)]):
        if size.get("daily"):
            counts = size["daily"][-1]["counts"]
            listed = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
            return f"The last day: {listed} (the new events include the late ones)."
    return "No day was measured."


def differ_line(results: Numbers) -> str:
    """How many events of the other tools differ from a full build."""
    parts = []
    for size in results["sizes"]:
        for part, keys in ((size, ""), (size.get("keys", {}), ", growing keys")):
            for name, rows in part.get("rows_that_differ", {}).items():
                parts.append(f"{name} {rows:,} of {size['events']:,}{keys}")
    if not parts:
        return ""
    return f"Events that differ from `{FACT}` after all days: {', '.join(parts)}."


def fewer_line(results: Numbers) -> str:
    """Which full builds were measured less often than the rest."""
    runs = results["runs"]
    parts = [
        f"{name} {len(size[name]['full'])} of {runs} times with {size['events']:,} events"
        for size in results["sizes"]
        for name in ("sqlmesh", "dbt-duckdb")
        if name in size and len(size[name]["full"]) < runs
    ]
    parts += [
        f"the whole project {len(size['full'])} of {runs} times with {size['events']:,} events"
        for size in results["sizes"]
        if len(size.get("full", [])) in range(1, runs)
    ]
    if runs > 1 and any("stock_full" in size for size in results["sizes"]):
        parts.insert(0, f"stock dbt 1 of {runs} times")
    return f"Full builds measured less often than the rest: {', '.join(parts)}." if parts else ""


def tables(results: Numbers) -> str:
    """All tables of a run, in Markdown."""
    sizes = results["sizes"]
    parts = [
        machine_line(results),
        f"### Bounds\n\n{bounds_table(results)}",
        "### Daily build of the events\n\n"
        + "\n\n".join(
            [
                day_line(results),
                fact_table(sizes, f"daily build of `{FACT}`, scattered keys", DAILY),
                fact_table(
                    [{**size.get("keys", {}), "events": size["events"]} for size in sizes],
                    f"daily build of `{FACT}`, growing keys",
                    DAILY,
                ),
                differ_line(results),
            ]
        ),
        "### Full build of the events\n\n"
        + fact_table(
            sizes,
            f"full build of `{FACT}`",
            {
                "hand-written SQL": by_hand,
                "hand-written SQL, analyzed": by_hand_and_analyzed,
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
        f"### Whole project\n\n{whole_table(results)}\n\n{tested_table(results)}\n\n"
        f"{whole_days(results)}\n\n" + shares_table(results),
    ]
    if any("questions" in size for size in results["sizes"]):
        parts.append(f"### Ten questions\n\n{questions_table(results)}")
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(part.strip() for part in parts))


def written(text: str, numbers: str) -> str:
    """Replace the numbers between the marks of a text.

    Raises SystemExit unless both marks occur exactly once and in order.
    """
    begin, end = MARKS
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise SystemExit(f"The text must contain '{begin}' and '{end}' once each, in this order.")
    before, after = text.split(begin)[0], text.split(end)[1]
    return f"{before}{begin}\n\n{numbers}\n\n{end}{after}"


def main() -> int:
    """Print the tables, or write them into the README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", type=Path, default=HERE / "results/full.json")
    parser.add_argument("--write", action="store_true", help=f"into {README.name}")
    arguments = parser.parse_args()
    if not arguments.results.exists():
        raise SystemExit(f"{arguments.results} is missing: run `make bench` first.")
    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    if arguments.write:
        text = README.read_text(encoding="utf-8")
        README.write_text(written(text, tables(results)), encoding="utf-8")
    else:
        print(tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
