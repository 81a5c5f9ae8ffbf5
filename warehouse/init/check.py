"""Run a mapping with limits, and say what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from warehouse import console
from warehouse.contract import DELETED_AT, LOADED_AT, Contract, Table
from warehouse.init.catalogue import MOST_VALUES, SECONDS
from warehouse.init.words import PERSONAL, REQUIRED, STATUSES
from warehouse.mapping import Mapping

SHOWN_ROWS = 10
ROWS = 100_000  # the rows whose values are checked
KEYS = 1_000_000  # the rows whose keys are checked
_LONGEST = 24
_LEAST_SHARE = 0.95  # of the rows whose user, order or product must exist

_TYPES = {
    "text": (
        *("text", "character varying", "character", "citext", "uuid"),
        *("smallint", "integer", "bigint", "numeric"),
    ),
    "numeric": ("numeric", "smallint", "integer", "bigint"),
    "boolean": ("boolean",),
    "date": ("date",),
    "timestamptz": ("timestamp with time zone",),
    "jsonb": ("jsonb",),
}
# Table and column -> the table whose key it is.
_REFERENCES = {
    ("orders", "user_id"): "users",
    ("order_items", "order_id"): "orders",
    ("order_items", "product_id"): "products",
    ("products", "category_id"): "categories",
    ("payments", "order_id"): "orders",
    ("user_sessions", "user_id"): "users",
    ("events", "user_id"): "users",
    ("consents", "user_id"): "users",
}


@dataclass
class Findings:
    """What was found in a file: errors must be corrected, warnings read, facts compared."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)


def check(
    source: psycopg.Connection,
    contract: Contract,
    found: dict[str, Mapping],
    known: dict[str, set[str]],
    *,
    is_stamped: bool,
) -> bool:
    """Run each select, print some rows with masked personal data, and what is wrong.

    Args:
        source: a read-only connection with a limit on the time of a query.
        contract: the tables.
        found: the mapping.
        known: the statuses that the warehouse knows, by seed.
        is_stamped: the mapping becomes views in the warehouse, which need `_loaded_at`.

    Returns:
        Whether there was no error.
    """
    return _Checker(source, contract, found, known, is_stamped=is_stamped).run()


class _Checker:
    def __init__(
        self,
        source: psycopg.Connection,
        contract: Contract,
        found: dict[str, Mapping],
        known: dict[str, set[str]],
        *,
        is_stamped: bool,
    ) -> None:
        self.source = source
        self.contract = contract
        self.found = found
        self.known = known
        self.is_stamped = is_stamped
        self.types: dict[str, dict[str, str]] = {}
        self.findings = {name: Findings() for name in found}

    def run(self) -> bool:
        for name in self.found:
            self._describe(self.contract.tables[name])
        for name in self.types:
            self._values(self.contract.tables[name])
        for (name, column), target in _REFERENCES.items():
            self._reference(name, column, target)
        for name, each in self.found.items():
            self._show(self.contract.tables[name], each)
        missing = [name for name in ("users", "orders") if name not in self.found]
        for name in missing:
            text = f"\n{name}: there is no {name}.sql, and the warehouse needs it."
            console.say(text, style="red")
        return not missing and not any(each.errors for each in self.findings.values())

    def _ask(self, name: str, what: str, query: sql.Composable) -> list[tuple] | None:
        """The rows of a query; None after an error, which is noted."""
        findings = self.findings[name]
        try:
            with self.source.transaction():
                return self.source.execute(query).fetchall()
        except psycopg.errors.QueryCanceled:
            findings.warnings.append(f"{what} took longer than {SECONDS} s and was not checked")
        except psycopg.Error as error:
            shown = error.diag.message_primary or str(error).strip().splitlines()[0]
            findings.errors.append(f"{what}: {shown}")
        return None

    def _mapped(self, name: str) -> sql.Composed:
        return sql.SQL("(\n{}\n) as mapped").format(sql.SQL(self.found[name].query))

    def _describe(self, table: Table) -> None:
        """The columns of the select and their types, against the contract."""
        query = sql.SQL("select * from {} limit 0").format(self._mapped(table.name))
        try:
            with self.source.transaction():
                described = self.source.execute(query).description or []
                types = {
                    column.name: self.source.execute(
                        "select format_type(%s, null)", (column.type_code,)
                    ).fetchone()[0]
                    for column in described
                }
        except psycopg.Error as error:
            shown = error.diag.message_primary or str(error).strip().splitlines()[0]
            self.findings[table.name].errors.append(f"the select fails: {shown}")
            return
        findings = self.findings[table.name]
        stamps = {LOADED_AT: "timestamptz", DELETED_AT: "timestamptz"}
        allowed = {**table.columns, **stamps}
        for column, data_type in types.items():
            if column == "xmin":
                continue
            if column not in allowed:
                findings.errors.append(
                    f"{column} is not a column of the contract, which has "
                    f"{', '.join(table.columns)}"
                )
            elif data_type not in _TYPES[allowed[column]]:
                cast = f"::{allowed[column]}"
                if data_type == "timestamp without time zone":
                    cast = " at time zone '...'"
                findings.errors.append(f"{column} is {data_type}: write (...){cast}")
        needed = {**table.columns, **(stamps if self.is_stamped else {})}
        absent = [column for column in needed if column not in types]
        if absent and (self.is_stamped or table.key in absent):
            findings.errors.append(f"lacks {', '.join(absent)}: select a null for each")
        elif absent:
            findings.warnings.append(f"lacks {', '.join(absent)}, which will be null")
        if table.key in types:
            self.types[table.name] = {
                column: allowed[column] for column in types if column in allowed
            }

    def _values(self, table: Table) -> None:
        name, types, findings = table.name, self.types[table.name], self.findings[table.name]
        wanted = [sql.SQL("count(*)")]
        for column, data_type in types.items():
            quoted = sql.Identifier(column)
            wanted.append(sql.SQL("count({})").format(quoted))
            if data_type in ("numeric", "timestamptz"):
                wanted += [sql.SQL("min({})::text").format(quoted),
                           sql.SQL("max({})::text").format(quoted)]  # fmt: skip
        columns = sql.SQL(", ").join(map(sql.Identifier, types))
        query = sql.SQL("select {} from (select {} from {} limit {}) as sampled").format(
            sql.SQL(", ").join(wanted), columns, self._mapped(name), sql.Literal(ROWS)
        )
        rows = self._ask(name, "reading the values", query)
        if rows is None:
            return
        total, *rest = rows[0]
        if not total:
            findings.warnings.append("no rows")
            return
        findings.facts.append(f"{total:,} rows read" + (" (the limit)" if total == ROWS else ""))
        for column, data_type in types.items():
            count = rest.pop(0)
            low, high = (rest.pop(0), rest.pop(0)) if data_type in ("numeric", "timestamptz") \
                else (None, None)  # fmt: skip
            if low is not None:
                findings.facts.append(f"{column} from {low} to {high}")
            if count == total:
                continue
            missing = f"{column} is null in {total - count:,} of {total:,} rows"
            if column == LOADED_AT:
                findings.errors.append(f"{missing}; it must never be")
            elif column in REQUIRED.get(name, ()) and column != table.key:
                findings.warnings.append(missing)
        self._key(table)
        self._statuses(name)

    def _key(self, table: Table) -> None:
        query = sql.SQL(
            "select count(*), count(key), count(distinct key) from (select {}::text as key from {}"
            " limit {}) as sampled"
        ).format(sql.Identifier(table.key), self._mapped(table.name), sql.Literal(KEYS))
        rows = self._ask(table.name, f"{table.key}, the key,", query)
        if rows is None:
            return
        total, given, distinct = rows[0]
        errors = self.findings[table.name].errors
        if given < total:
            errors.append(f"{table.key}, the key, is null in {total - given:,} of {total:,} rows")
        if distinct < given:
            errors.append(f"{table.key}, the key, is repeated in {given - distinct:,} rows")

    def _statuses(self, name: str) -> None:
        for (table, column), (seed, _) in STATUSES.items():
            if table != name or column not in self.types[name]:
                continue
            query = sql.SQL(
                "select lower(trim(value)), count(*) from (select {}::text as value from {}"
                " limit {}) as sampled where value is not null group by 1 order by 2 desc limit {}"
            ).format(
                sql.Identifier(column),
                self._mapped(name),
                sql.Literal(KEYS),
                sql.Literal(MOST_VALUES + 1),
            )
            rows = self._ask(name, column, query) or []
            unknown = [f"{value} ({count:,})" for value, count in rows
                       if value not in self.known[seed]]  # fmt: skip
            if unknown:
                self.findings[name].warnings.append(
                    f"{column} is not in seeds/{seed}.csv: {', '.join(unknown)}. Map each to a "
                    f"value of it: {', '.join(sorted(self.known[seed]))}"
                )

    def _reference(self, name: str, column: str, target: str) -> None:
        if column not in self.types.get(name, {}) or target not in self.types:
            return
        key = self.contract.tables[target].key
        query = sql.SQL(
            "select count(*), count(other.key) from (select {}::text as key from {} where {} is not"
            " null limit {}) as own left join (select distinct {}::text as key from {}) as other"
            " on other.key = own.key"
        ).format(
            sql.Identifier(column),
            self._mapped(name),
            sql.Identifier(column),
            sql.Literal(ROWS),
            sql.Identifier(key),
            self._mapped(target),
        )
        rows = self._ask(name, f"whether each {column} exists in {target}", query)
        if not rows or not rows[0][0]:
            return
        total, present = rows[0]
        findings = self.findings[name]
        shown = f"{column} exists in {target} in {present:,} of {total:,} rows"
        if not present:
            findings.errors.append(f"{shown}: is it the key of another table?")
        elif present < _LEAST_SHARE * total:
            findings.warnings.append(shown)
        else:
            findings.facts.append(shown)

    def _show(self, table: Table, each: Mapping) -> None:
        findings = self.findings[table.name]
        console.say(f"\n{table.name} ({each.path})", style="bold")
        if table.name in self.types:
            self._show_rows(table)
        for fact in findings.facts:
            console.say(f"  {fact}")
        for number, text in each.open_lines:
            console.say(f"  OPEN, line {number}: {text}", style="yellow")
        for warning in findings.warnings:
            console.say(f"  Warning: {warning}", style="yellow")
        for error in findings.errors:
            console.say(f"  Error: {error}", style="red")

    def _show_rows(self, table: Table) -> None:
        columns = list(self.types[table.name])
        query = sql.SQL("select {} from {} limit {}").format(
            sql.SQL(", ").join(
                sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns
            ),
            self._mapped(table.name),
            sql.Literal(SHOWN_ROWS),
        )
        rows = self._ask(table.name, "reading ten rows", query)
        if not rows:
            return
        filled = [place for place in range(len(columns))
                  if any(row[place] is not None for row in rows)]  # fmt: skip
        console.show_table(
            [columns[place] for place in filled],
            [[masked(columns[place], row[place]) for place in filled] for row in rows],
            compact=True,
        )
        empty = [column for place, column in enumerate(columns) if place not in filled]
        if empty:
            console.say(f"  null in these rows: {', '.join(empty)}")


def masked(column: str, value: str | None) -> str:
    """A value for the terminal: personal data are masked, long texts shortened."""
    if value is None:
        return ""
    if column in PERSONAL:
        _, at, domain = value.rpartition("@")
        return f"{value[:1]}***{at}{domain}" if column == "email" and at else "***"
    text = " ".join(value.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
