"""From a source's catalogue to a proposal: which table is which, and each column's expression.

What can be meant in two ways is not chosen: it becomes null, marked as open, with the choices.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from warehouse.contract import DELETED_AT, LOADED_AT, Contract, Table
from warehouse.errors import WarehouseError
from warehouse.init import words
from warehouse.init.catalogue import MOST_VALUES, Catalogue, Column, Relation
from warehouse.init.words import COLUMNS, REQUIRED, TABLES, ColumnWords, bare, singular, snake

HIGH, MEDIUM, NONE, OPEN = "high", "medium", "none", "OPEN"
SOURCE = "source"  # the alias of the table in the selects

# The contract column that refers to a table -> that table.
_TARGETS = {
    "user_id": "users",
    "order_id": "orders",
    "product_id": "products",
    "category_id": "categories",
    "parent_id": "categories",
    "session_id": "user_sessions",
}
_USABLE = {
    "text": {"text", "enum", "uuid", "integer", "number"},
    "numeric": {"integer", "number", "text"},
    "boolean": {"boolean", "integer", "text"},
    "date": {"date", "timestamp", "timestamptz", "text"},
    "timestamptz": {"timestamptz", "timestamp", "date", "integer", "text"},
    "jsonb": {"json"},
}
_NO_COLUMN = "no such column"
_CODE = re.compile("[A-Za-z]{3}")  # a code of a currency, in any case
_SHORT = 5  # the longest symbol of a currency, such as US$
_MOSTLY = 0.5  # a larger share of nulls makes a required column open

Values = Callable[[Relation, Column], list[tuple[str | None, int]] | None]
Nulls = Callable[[Relation, list[Column]], dict[str, float]]


@dataclass(frozen=True)
class Choices:
    """What the person decided beforehand.

    Attributes:
        tables: contract table -> "schema.table" of the source.
        time_zone: the zone of timestamps without time zone; None if nobody said it.
        currency: the currency of all orders, for orders without such a column.
        day_zone: the zone whose days the warehouse counts.
        cents: whether whole-number amounts are cents; None if nobody said it.
        is_stamped: add `_loaded_at` and `_deleted_at`, for views in the warehouse.
    """

    tables: dict[str, str] = field(default_factory=dict)
    time_zone: str | None = None
    currency: str | None = None
    day_zone: str = "UTC"
    cents: bool | None = None
    is_stamped: bool = False


@dataclass
class Guess:
    """A column of the contract.

    Attributes:
        column: its name.
        expression: SQL; a null if nothing was chosen.
        confidence: high, medium, none (the source has no such column) or OPEN.
        reason: why, in one line.
        choices: expressions to choose from.
    """

    column: str
    expression: str
    confidence: str
    reason: str
    choices: list[str] = field(default_factory=list)


@dataclass
class Proposal:
    """A table of the contract.

    Attributes:
        table: the table of the contract.
        relation: the table of the source; None if none was chosen.
        confidence, reason: as in `Guess`.
        guesses: one for each column of the contract, and the additional ones.
        joins: the joins of the select.
        rows: open questions about which rows belong to the table: the question and an example.
        is_disabled: add `where false`, because a person must first confirm it.
        options: the answers beforehand that a column took: --time-zone, --currency, --amounts.
    """

    table: Table
    relation: Relation | None
    confidence: str
    reason: str
    guesses: list[Guess] = field(default_factory=list)
    joins: list[str] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    is_disabled: bool = False
    options: set[str] = field(default_factory=set)


def propose(
    contract: Contract,
    catalogue: Catalogue,
    choices: Choices,
    known: dict[str, set[str]],
    values: Values,
    nulls: Nulls,
) -> list[Proposal]:
    """Propose the mapping of each table of the contract.

    Args:
        contract: the tables to map.
        catalogue: the tables of the source.
        choices: what was decided beforehand.
        known: seed -> its first column: the statuses that the warehouse knows.
        values: the values of a column.
        nulls: the share of nulls of columns.

    Returns:
        In the order of the contract; a table without a relation and without confidence OPEN does
        not exist in the source.
    """
    return _Guesser(contract, catalogue, choices, known, values, nulls).all()


class _Guesser:
    def __init__(
        self,
        contract: Contract,
        catalogue: Catalogue,
        choices: Choices,
        known: dict[str, set[str]],
        values: Values,
        nulls: Nulls,
    ) -> None:
        self.contract = contract
        self.relations = catalogue.relations
        self.choices = choices
        self.known = known
        self.values = values
        self.nulls = nulls
        self.prefixes = (*_shared_prefixes(self.relations.values()), *words.PREFIXES)
        self.chosen: dict[str, Relation] = {}
        self.why: dict[str, tuple[str, str]] = {}
        self.other_prices: list[str] = []
        self.options: set[str] = set()  # those that the table at hand uses

    def all(self) -> list[Proposal]:
        for table in ("orders", "users", "order_items", "products", "categories"):
            self._choose(table)
        for table in self.contract.tables:
            if table not in self.why:
                self._choose(table)
        found = []
        for table in self.contract.tables.values():
            self.options = set()
            proposal = self._propose(table)
            proposal.options = self.options
            found.append(proposal)
        return found

    # --- Tables

    def _choose(self, table: str) -> None:
        named = self.choices.tables.get(table)
        if named:
            if named not in self.relations:
                raise WarehouseError(
                    f"--table {table}={named}: the source has no such table that may be read; it "
                    f"has {', '.join(self.relations) or 'none'}."
                )
            self._take(table, self.relations[named], HIGH, "chosen with --table")
            return
        if table not in TABLES:
            reason = f"its names are not known here: set --table {table}=... if you have it"
            self.why[table] = (NONE, reason)
            return
        taken = {relation.shown for relation in self.chosen.values()}
        free = [each for each in self.relations.values() if each.shown not in taken]
        strong = [each for each in free if self._is_called(each, TABLES[table].strong)]
        weak = [each for each in free if self._is_called(each, TABLES[table].weak)]
        strong = [each for each in strong if self._fits(table, each)]
        weak = [each for each in weak if self._fits(table, each)]
        referred = self._referred(table)
        if referred is not None and self._fits(table, referred):
            others = [each for each in strong if each is not referred]
            if referred in strong or not others:
                why = f"{self._referring(table)} refers to it"
                self._take(table, referred, HIGH, why)
                return
            strong.append(referred)
        elif len(strong) == 1:
            self._take(table, strong[0], HIGH, f"named like {table}, and has its columns")
            return
        if strong:
            names = ", ".join(each.shown for each in strong)
            self.why[table] = (OPEN, f"{names} could be it: choose with --table {table}=...")
        elif weak and table in ("orders", "order_items", "users"):
            names = ", ".join(each.shown for each in weak)
            self.why[table] = (OPEN, f"perhaps {names}: choose with --table {table}=...")
        elif table in ("orders", "users"):
            self.why[table] = (OPEN, f"no table is named like {table}: set --table {table}=...")
        else:
            names = ", ".join(each.shown for each in weak)
            hint = f"; perhaps {names}: --table {table}=..." if weak else ""
            self.why[table] = (NONE, f"no such table{hint}")

    def _take(self, table: str, relation: Relation, confidence: str, reason: str) -> None:
        self.chosen[table] = relation
        self.why[table] = (confidence, reason)

    def _is_called(self, relation: Relation, names: tuple[str, ...]) -> bool:
        forms = words.name_forms(relation.name, self.prefixes)
        return bool(forms & {bare(name) for name in names})

    def _referring(self, table: str) -> str:
        return "orders" if table == "users" else "order_items"

    def _referred(self, table: str) -> Relation | None:
        """The table that the referring table's key column points to, if there is one."""
        if table == "orders":
            lines = [
                each
                for each in self.relations.values()
                if self._is_called(each, TABLES["order_items"].strong)
            ]
            keys, froms, contract_table = words.ORDER_KEYS, lines, "order_items"
        elif table == "users" and "orders" in self.chosen:
            keys, froms, contract_table = words.USER_KEYS, [self.chosen["orders"]], "orders"
        elif table == "products" and "order_items" in self.chosen:
            keys, froms = words.PRODUCT_KEYS, [self.chosen["order_items"]]
            contract_table = "order_items"
        else:
            return None
        found = {}
        for relation in froms:
            _, columns = self._match(relation, contract_table, ColumnWords((keys,)), "text")
            for column in columns:
                target = self._points_to(relation, column)
                if target is not None:
                    found[target.shown] = target
        return next(iter(found.values())) if len(found) == 1 else None

    def _points_to(self, relation: Relation, column: Column) -> Relation | None:
        """The table that a column refers to: by its foreign key, else by its name."""
        if column.name in relation.references:
            table, target = relation.references[column.name]
            other = self.relations.get(table)
            return other if other is not None and other.key == (target,) else None
        name = snake(column.name)
        for noun in self._nouns(relation, None):
            name = name.removeprefix(f"{noun}_")
        noun = bare(name).removesuffix("id")
        if not noun or noun == bare(name):
            return None
        found = [
            each
            for each in self.relations.values()
            if each is not relation
            and len(each.key) == 1
            and noun in words.name_forms(each.name, self.prefixes)
            and _same_kind(column, each.columns[each.key[0]])
        ]
        return found[0] if len(found) == 1 else None

    def _fits(self, table: str, relation: Relation) -> bool:
        """Whether a table has the columns that make it this one, and none that make it another."""

        def has(*columns: str, hints: bool = False) -> bool:
            for column in columns:
                level, _ = self._match(relation, table, COLUMNS[table][column], self._type(column))
                if level is not None and (hints or level != "hints"):
                    return True
            return False

        names = {bare(snake(name)) for name in relation.columns}
        if names & {bare(name) for name in words.FOREIGN.get(table, ())}:
            return False
        if table == "users":
            return has("email", "first_name", "last_name", hints=True)
        if table == "orders":
            return has("order_date", hints=True) and (has("user_id") or "email" in names)
        if table == "order_items":
            return has("order_id") and has("quantity", "price_at_purchase", hints=True)
        if table == "products":
            return has("product_name")
        if table == "categories":
            return has("category_name")
        if table == "payments":
            return has("amount", hints=True)
        if table == "user_sessions":
            return has("user_id") and has("session_start")
        if table == "events":
            return has("event_type") and has("event_timestamp") and (has("user_id", "session_id"))
        if table == "consents":
            return has("user_id") and has("is_granted")
        if table == "exchange_rates":
            return has("currency") and has("rate")
        return has("user_id")

    def _type(self, column: str) -> str:
        for table in self.contract.tables.values():
            if column in table.columns:
                return table.columns[column]
        return "text"

    # --- Columns

    def _nouns(self, relation: Relation, table: str | None) -> list[str]:
        """What the names of a table's columns may begin with, the longest first."""
        own = singular(snake(relation.name))
        forms = {own} | {own.removeprefix(prefix) for prefix in self.prefixes}
        if table is not None:
            forms |= set(TABLES[table].nouns if table in TABLES else (singular(table),))
        return sorted(forms, key=len, reverse=True)

    def _forms(self, relation: Relation, table: str, column: Column) -> set[str]:
        name = snake(column.name)
        found = {bare(name)}
        for noun in self._nouns(relation, table):
            if name.startswith(f"{noun}_"):
                found.add(bare(name.removeprefix(f"{noun}_")))
        return found

    def _match(
        self,
        relation: Relation,
        table: str,
        sought: ColumnWords,
        data_type: str,
        without: frozenset[str] = frozenset(),
    ) -> tuple[str | None, list[Column]]:
        """The columns of the first group of names that any column has, and the group's level."""
        usable = [
            (self._forms(relation, table, column), column)
            for column in relation.columns.values()
            if column.kind in _USABLE[data_type] and column.name not in without
        ]
        groups = [("tiers", tier) for tier in sought.tiers]
        groups += [("weak", sought.weak), ("hints", sought.hints)]
        for level, names in groups:
            wanted = {bare(name) for name in names}
            found = [column for forms, column in usable if forms & wanted]
            # date_created_gmt says more than date_created, the same moment in a local time.
            in_utc = [column for column in found if _is_utc(column)]
            if found:
                return level, in_utc if len(in_utc) == 1 else found
        return None, []

    def _propose(self, table: Table) -> Proposal:
        confidence, reason = self.why[table.name]
        relation = self.chosen.get(table.name)
        if relation is None:
            if table.name == "order_items" and confidence == NONE and "orders" in self.chosen:
                return self._from_totals(table)
            return nothing(table, confidence, reason, is_stamped=self.choices.is_stamped)
        proposal = Proposal(table, relation, confidence, reason)
        proposal.guesses = [self._key(table, relation)]
        for column, data_type in table.columns.items():
            if column != table.key:
                proposal.guesses.append(self._column(proposal, column, data_type))
        self._check_nulls(proposal)
        proposal.guesses += self._stamps(proposal)
        proposal.rows = self._row_questions(table.name, relation)
        self._doubt_currency(proposal)
        _say_what_is_missing(proposal, is_stamped=self.choices.is_stamped)
        return proposal

    def _from_totals(self, table: Table) -> Proposal:
        """Order lines made from the totals of orders, for a person to confirm."""
        orders = self.chosen["orders"]
        totals = ColumnWords(
            (("total", "order_total", "total_amount", "grand_total", "amount", "total_price"),)
        )
        level, columns = self._match(orders, "orders", totals, "numeric")
        if level is None:
            return nothing(table, NONE, "no such table", is_stamped=self.choices.is_stamped)
        proposal = Proposal(
            table,
            orders,
            OPEN,
            "no table has order lines: one line per order, from its total; if that is right, "
            "delete this line and `where false`",
            is_disabled=True,
        )
        key = self._key(table, orders)
        amount = self._amount(table.name, "price_at_purchase", columns)
        moved = self._column(proposal, "updated_at", "timestamptz")
        proposal.guesses = [
            key,
            Guess("order_id", key.expression, key.confidence, "the order itself"),
            Guess("product_id", "null::text", NONE, "a total names no product"),
            Guess("quantity", "1::numeric", HIGH, "one line per order"),
            amount,
            moved,
        ]
        proposal.guesses += self._stamps(proposal)
        return proposal

    def _key(self, table: Table, relation: Relation) -> Guess:
        parts = [_key_text(relation.columns[name]) for name in relation.key
                 if name in relation.columns]  # fmt: skip
        if parts and len(parts) == len(relation.key):
            expression = " || '-' || ".join(parts)
            reason = "its key" if len(parts) == 1 else "its key of several columns"
            return Guess(table.key, expression, HIGH, reason)
        wanted = {"id", bare(table.key)}
        choices = [
            f"{SOURCE}.{column.sql}::text"
            for column in relation.columns.values()
            if self._forms(relation, table.name, column) & wanted
        ]
        reason = f"{relation.shown} has no primary key: which column is unique and never null?"
        return Guess(table.key, "null::text", OPEN, reason, choices)

    def _column(self, proposal: Proposal, column: str, data_type: str) -> Guess:
        table, relation = proposal.table.name, proposal.relation
        assert relation is not None
        # A column that somebody added to the contract is known by its own name.
        sought = COLUMNS.get(table, {}).get(column, ColumnWords(((column,),)))
        if column in _TARGETS and _TARGETS[column] in self.contract.tables:
            return self._reference(proposal, column, sought)
        others = _columns_of_users(proposal) if column == "visitor_id" else frozenset()
        level, columns = self._match(relation, table, sought, data_type, others)
        required = column in REQUIRED.get(table, ())
        # A table of rates has several.
        one_currency = self.choices.currency if (table, column) == ("orders", "currency") else None
        if level in ("tiers", "weak") and len(columns) == 1:
            confidence = HIGH if level == "tiers" else MEDIUM
            found = columns[0]
            if (table, column) in words.AMOUNTS:
                return self._amount(table, column, columns)
            if column == "rate":
                return self._rate(found)
            if (table, column) in words.STATUSES:
                return self._status(table, column, relation, found)
            if column == "visitor_id":
                return self._visitor(relation, found, confidence)
            converted = self._convert(column, data_type, found, confidence)
            if one_currency:
                converted.reason += "; --currency is not used"
            return converted
        if level in ("tiers", "weak"):
            names = " and ".join(each.name for each in columns)
            choices = [self._convert(column, data_type, each, HIGH) for each in columns]
            return Guess(
                column,
                f"null::{data_type}",
                OPEN,
                f"{names} could both be it",
                [choice for each in choices for choice in (each.choices or [each.expression])],
            )
        if one_currency:
            self.options.add("--currency")
            text = f"'{one_currency}'::text"
            return Guess(column, text, HIGH, "chosen with --currency")
        if level == "hints":
            names = ", ".join(each.name for each in columns)
            reason = f"not the same, but related: {names}"
        else:
            reason = _NO_COLUMN
        if not required:
            return Guess(column, f"null::{data_type}", NONE, reason)
        choices = [
            choice
            for each in columns
            for choice in self._choices(proposal, column, data_type, each)
        ]
        if column == "price_at_purchase":
            choices += self.other_prices
        if (table, column) == ("orders", "currency"):
            reason += ": if all orders have one currency, run again with --currency EUR"
        elif (table, column) == ("orders", "order_status"):
            reason += ": if every row is a paid order, write 'completed'"
            choices += ["'completed'::text"]
            choices += [
                f"case when {SOURCE}.{each.sql} is null then 'processing' else 'shipped' end"
                for each in relation.columns.values()
                if bare(snake(each.name)) in ("shippeddate", "shippedat")
            ]
        return Guess(column, f"null::{data_type}", OPEN, reason, choices)

    def _choices(self, proposal: Proposal, column: str, data_type: str, found: Column) -> list[str]:
        """What a related column could become."""
        converted = self._convert(column, data_type, found, HIGH)
        choices = converted.choices or [converted.expression]
        quantity = next((each for each in proposal.guesses if each.column == "quantity"), None)
        is_total = column == "price_at_purchase" and "unit" not in snake(found.name)
        if is_total and quantity is not None and quantity.confidence in (HIGH, MEDIUM):
            return [f"{choice} / nullif({quantity.expression}, 0)" for choice in choices]
        return choices

    def _convert(self, column: str, data_type: str, found: Column, confidence: str) -> Guess:
        """A column of the source as the contract's type."""
        name = f"{SOURCE}.{found.sql}"
        reason = f"named {found.name}"
        null = f"null::{data_type}"
        if data_type == "timestamptz":
            return self._time(column, found, confidence)
        if data_type == "text":
            if found.kind in ("integer", "number"):
                reason = f"{found.name} is a number: what does it stand for?"
                return Guess(column, null, OPEN, reason, [f"{name}::text"])
            return Guess(column, f"{name}::text", confidence, reason)
        if data_type == "numeric":
            if found.kind == "text":
                reason = f"{found.name} is text"
                return Guess(column, null, OPEN, reason, [f"{name}::numeric"])
            if column in {amount for _, amount in words.AMOUNTS}:
                return Guess(column, null, OPEN, reason, self._units(found))
            return Guess(column, f"{name}::numeric", confidence, reason)
        if data_type == "boolean":
            if found.kind == "boolean":
                return Guess(column, name, confidence, reason)
            reason = f"{found.name} is {found.data_type}: which values mean yes?"
            return Guess(column, null, OPEN, reason, [f"{name} = 1"])
        if data_type == "date":
            if found.kind == "date":
                return Guess(column, name, confidence, reason)
            if found.kind == "text":
                reason = f"{found.name} is text: in which format?"
                return Guess(column, null, OPEN, reason, [f"to_date({name}, 'YYYY-MM-DD')"])
            return Guess(column, f"{name}::date", MEDIUM, reason)
        return Guess(column, f"{name}::jsonb", confidence, reason)

    def _time(self, column: str, found: Column, confidence: str) -> Guess:
        name = f"{SOURCE}.{found.sql}"
        reason = f"named {found.name}"
        if found.kind == "timestamptz":
            return Guess(column, name, confidence, reason)
        if found.kind == "date":
            zone = self.choices.day_zone
            expression = f"{name}::timestamp at time zone {_quoted(zone)}"
            return Guess(column, expression, confidence, f"{reason}; keeps its day in {zone}")
        if found.kind == "timestamp":
            if _is_utc(found):
                return Guess(column, f"{name} at time zone 'UTC'", confidence, reason)
            if self.choices.time_zone:
                self.options.add("--time-zone")
                expression = f"{name} at time zone {_quoted(self.choices.time_zone)}"
                return Guess(column, expression, confidence, f"{reason}; --time-zone")
            return Guess(
                column,
                "null::timestamptz",
                OPEN,
                f"{found.name} has no time zone: run again with --time-zone UTC, or another",
                [f"{name} at time zone 'UTC'"],
            )
        choices = [f"{name}::timestamptz"]
        if found.kind == "integer":
            choices = [f"to_timestamp({name})", f"to_timestamp({name} / 1000.0)"]
        reason = f"{found.name} is {found.data_type}: how does it hold a time?"
        return Guess(column, "null::timestamptz", OPEN, reason, choices)

    def _amount(self, table: str, column: str, columns: list[Column]) -> Guess:
        name = f"{SOURCE}.{columns[0].sql}"
        whole = f"{name}::numeric"
        reason = f"named {columns[0].name}"
        if len(columns) > 1:
            names = " and ".join(each.name for each in columns)
            choices = [text for each in columns for text in self._units(each)]
            return Guess(column, "null::numeric", OPEN, f"{names} could both be it", choices)
        if columns[0].kind == "text":
            return Guess(column, "null::numeric", OPEN, f"{columns[0].name} is text", [whole])
        if columns[0].kind == "integer":
            if self.choices.cents is None:
                reason = f"{columns[0].name} is a whole number: run again with --amounts cents, or "
                choices = self._units(columns[0])
                return Guess(column, "null::numeric", OPEN, f"{reason}units", choices)
            reason += "; --amounts"
            (whole,) = self._units(columns[0])
        if columns[0].data_type == "money":
            whole = f"{name}::numeric"
        relation = self.chosen.get(table)
        if table == "order_items" and relation is not None:
            lower = [
                each.name
                for each in relation.columns.values()
                if any(word in snake(each.name) for word in words.DISCOUNTS)
                and each.kind in ("integer", "number")
            ]
            if lower:
                reason = f"is the price before or after {', '.join(lower)}?"
                return Guess(column, "null::numeric", OPEN, reason, [whole, *self.other_prices])
            if self.other_prices:
                other = self.other_prices[0]
                choices = [whole, other, f"coalesce({whole}, {other})"]
                reason = f"{columns[0].name} and {other.partition('::')[0]} could both be it"
                return Guess(column, "null::numeric", OPEN, reason, choices)
        return Guess(column, whole, HIGH, reason)

    def _units(self, found: Column) -> list[str]:
        """An amount in units; a whole number may be cents."""
        whole, cents = f"{SOURCE}.{found.sql}::numeric", f"{SOURCE}.{found.sql} / 100.0"
        if found.kind != "integer":
            return [whole]
        if self.choices.cents is None:
            return [cents, whole]
        self.options.add("--amounts")
        return [cents if self.choices.cents else whole]

    def _rate(self, found: Column) -> Guess:
        name = f"{SOURCE}.{found.sql}::numeric"
        choices = [name, f"1 / nullif({name}, 0)"]
        reason = f"is {found.name} what one unit of the currency is worth in yours, or the inverse?"
        return Guess("rate", "null::numeric", OPEN, reason, choices)

    def _visitor(self, relation: Relation, found: Column, confidence: str) -> Guess:
        """A browser or device; a reference of another name may be to a kind of device."""
        expression = f"{SOURCE}.{found.sql}::text"
        if confidence == HIGH:
            return Guess("visitor_id", expression, HIGH, f"named {found.name}")
        if found.name in relation.references or found.kind in ("integer", "number"):
            reason = f"does each {found.name} stand for one browser or device?"
            return Guess("visitor_id", "null::text", OPEN, reason, [expression])
        return Guess("visitor_id", expression, MEDIUM, f"named {found.name}")

    def _status(self, table: str, column: str, relation: Relation, found: Column) -> Guess:
        """A status, with the values that the warehouse does not know as open questions."""
        seed, _ = words.STATUSES[table, column]
        name = f"{SOURCE}.{found.sql}"
        rows = self.values(relation, found)
        if rows is None:
            reason = f"named {found.name}; its values could not be read in time"
            return Guess(column, f"{name}::text", MEDIUM, reason)
        counts = {value: count for value, count in rows if value is not None}
        counts.update({label: 0 for label in found.labels if label not in counts})
        if len(counts) > MOST_VALUES:
            reason = f"{found.name} has more than {MOST_VALUES} values"
            return Guess(column, "null::text", OPEN, reason, [f"{name}::text"])
        if found.kind in ("integer", "number"):
            cases = [
                f"when {value} then null -- {OPEN}: {value}, {count:,} rows: which of "
                f"seeds/{seed}.csv?"
                for value, count in sorted(counts.items())
            ]
            if not cases:
                reason = f"{found.name} is a code, and has no values yet"
                return Guess(column, "null::text", OPEN, reason, [f"{name}::text"])
            expression = _case(name, cases, "null::text")
            return Guess(column, expression, MEDIUM, f"{found.name} holds codes")
        known = self.known[seed]
        unknown = [value for value in counts if value.strip().lower() not in known]
        if not counts:
            return Guess(column, f"{name}::text", MEDIUM, f"named {found.name}; no values yet")
        if not unknown:
            shown = ", ".join(f"{_shown(value)} ({count:,})" for value, count in counts.items())
            return Guess(column, f"{name}::text", HIGH, f"named {found.name}; known: {shown}")
        cases = []
        for value in unknown:
            literal = _quoted(value)
            note = f"-- {OPEN}: {_shown(value)}, {counts[value]:,} rows, is not in seeds/{seed}.csv"
            cases.append(f"when {literal} then {literal} {note}")
        expression = _case(f"{name}::text", cases, f"{name}::text")
        return Guess(column, expression, HIGH, f"named {found.name}")

    # --- References

    def _reference(self, proposal: Proposal, column: str, sought: ColumnWords) -> Guess:
        relation, table = proposal.relation, proposal.table.name
        assert relation is not None
        target = self.chosen.get(_TARGETS[column])
        like = ""
        _, named = self._match(relation, table, ColumnWords(sought.tiers), "text")
        if target is not None:
            declared = [
                relation.columns[name]
                for name, (other, key) in relation.references.items()
                if other == target.shown and target.key == (key,) and name in relation.columns
            ]
            both = [each for each in declared if each in named] or declared
            if len(both) == 1:
                reason = f"foreign key to {target.shown}"
                return Guess(column, f"{SOURCE}.{both[0].sql}::text", HIGH, reason)
            if both:
                names = ", ".join(each.name for each in both)
                choices = [f"{SOURCE}.{each.sql}::text" for each in both]
                reason = f"several columns refer to {target.shown}: {names}"
                return Guess(column, "null::text", OPEN, reason, choices)
            if not named and target is not relation:
                named = self._named_like_key(relation, target)
                like = f"named like the key of {target.shown}" if named else ""
        elsewhere = [
            each
            for each in named
            if target is not None
            and each.name in relation.references
            and relation.references[each.name][0] != target.shown
        ]
        wrong_type = [
            each
            for each in named
            if target is not None
            and len(target.key) == 1
            and not _same_kind(each, target.columns[target.key[0]])
        ]
        parts = target.key if target is not None and len(target.key) > 1 else ()
        if len(named) == 1 and not elsewhere and not wrong_type and not parts:
            expression = f"{SOURCE}.{named[0].sql}::text"
            reason = like or f"named {named[0].name}"
            return Guess(column, expression, MEDIUM, f"{reason}; no foreign key")
        choices = [f"{SOURCE}.{each.sql}::text" for each in named]
        required = column in REQUIRED.get(table, ())
        if named and parts:
            reason = f"the key of {target.shown} has several columns: {', '.join(parts)}"
        elif elsewhere:
            other = relation.references[elsewhere[0].name][0]
            reason = f"{elsewhere[0].name} refers to {other}"
        elif wrong_type and target is not None:
            reason = f"{wrong_type[0].name} has another type than the key of {target.shown}"
        elif named:
            names = " and ".join(each.name for each in named)
            reason = f"{names} could both be it"
        else:
            joined = self._through(proposal, column, target) if target is not None else None
            if joined is not None:
                return joined
            return self._linked(proposal, column, sought, target, required=required)
        return Guess(column, "null::text", OPEN, reason, choices)

    def _named_like_key(self, relation: Relation, target: Relation) -> list[Column]:
        """The columns whose name is the key of a table, with or without the name of the table.

        A name that is also the key of another table says nothing: each table may have an `uid`.
        """
        names = {f"{noun}id" for noun in words.name_forms(target.name, self.prefixes)}
        if len(target.key) == 1:
            key = bare(snake(target.key[0]))
            names |= {f"{noun}{key}" for noun in words.name_forms(target.name, self.prefixes)}
            if not any(
                each is not target and len(each.key) == 1 and bare(snake(each.key[0])) == key
                for each in self.relations.values()
            ):
                names.add(key)
        return [
            each for each in relation.columns.values() if bare(snake(each.name)) in names - {"id"}
        ]

    def _linked(
        self,
        proposal: Proposal,
        column: str,
        sought: ColumnWords,
        target: Relation | None,
        *,
        required: bool,
    ) -> Guess:
        """No column refers to the target: name what might lead to it."""
        relation, table = proposal.relation, proposal.table.name
        assert relation is not None
        _, related = self._match(relation, table, ColumnWords((), (), sought.hints), "text")
        links = [
            each.shown
            for each in self.relations.values()
            if target is not None
            and target is not relation
            and each is not relation
            and {target.shown, relation.shown}
            <= {other.shown for name in each.columns.values()
                if (other := self._points_to(each, name)) is not None}
        ]  # fmt: skip
        reason = _NO_COLUMN
        if related:
            reason = f"not the same, but related: {', '.join(each.name for each in related)}"
        if links:
            reason = f"linked by {', '.join(links[:3])}: a row may have several"
        level = OPEN if required or links else NONE
        choices = [f"{SOURCE}.{each.sql}::text" for each in related] if level == OPEN else []
        return Guess(column, "null::text", level, reason, choices)

    def _through(self, proposal: Proposal, column: str, target: Relation) -> Guess | None:
        """One table in between: an order line's variant, which belongs to a product."""
        relation = proposal.relation
        assert relation is not None
        if (proposal.table.name, column) != ("order_items", "product_id"):
            return None
        paths = []
        for own in relation.columns.values():
            middle = self._points_to(relation, own)
            if middle is None or middle in (relation, target, self.chosen.get("orders")):
                continue
            ends = [each for each in middle.columns.values()
                    if self._points_to(middle, each) is target]  # fmt: skip
            paths += [(own, middle, end) for end in ends]
        if len(paths) != 1:
            return None
        own, middle, end = paths[0]
        alias = "linked"
        key = middle.columns[middle.key[0]].sql
        proposal.joins.append(
            f"left join {middle.sql} as {alias}\n    on {alias}.{key} = {SOURCE}.{own.sql}"
        )
        if self._is_called(middle, TABLES["order_items"].strong + TABLES["order_items"].weak):
            self._doubt_price(proposal, middle, alias)
        reason = f"{own.name} -> {middle.name}.{end.name}"
        return Guess(column, f"{alias}.{end.sql}::text", MEDIUM, reason)

    def _doubt_price(self, proposal: Proposal, middle: Relation, alias: str) -> None:
        """Two tables of order lines may both have a price: remember that of the joined one."""
        sought = COLUMNS["order_items"]["price_at_purchase"]
        _, columns = self._match(middle, "order_items", ColumnWords(sought.tiers), "numeric")
        self.other_prices = [
            f"{alias}.{each.sql}::numeric" for each in columns if each.kind != "text"
        ]

    # --- Checks and additional columns

    def _doubt_currency(self, proposal: Proposal) -> None:
        """Name the columns that may be the currency under another name.

        One currency for all orders would add the amounts of several as if they were one.
        """
        relation = proposal.relation
        assert relation is not None
        guess = next((each for each in proposal.guesses if each.column == "currency"), None)
        if proposal.table.name != "orders" or guess is None:
            return
        if self._match(relation, "orders", COLUMNS["orders"]["currency"], "text")[0] is not None:
            return
        shown, codes, others = [], [], []
        for column in unused(proposal, with_choices=True):
            is_named = "curr" in snake(column.name)
            is_text = column.kind in ("text", "enum")
            if not is_text and not (is_named and column.kind in _USABLE["text"]):
                continue
            counts = self.values(relation, column) or []
            found = [value.strip() for value, _ in counts if value is not None and value.strip()]
            if len(counts) > MOST_VALUES and not is_named:
                continue
            if self.choices.currency and {value.upper() for value in found} == {
                self.choices.currency
            }:
                continue
            choice = f"{SOURCE}.{column.sql}::text"
            if is_named or (found and all(_CODE.fullmatch(value) for value in found)):
                values = ", ".join(f"{_shown(value)} ({count:,})" for value, count in counts[:5])
                shown.append(f"{column.name} ({values or 'no values yet'})")
                codes.append(choice)
            elif found and max(map(len, found)) <= _SHORT:
                others.append(choice)
        if codes:
            columns = f"perhaps {' or '.join(shown)}"
            if self.choices.currency:
                guess.reason = f"chosen with --currency, but {columns}"
            else:
                guess.reason = (
                    f"none of the names known; {columns}; only if all orders have one currency, "
                    "write it as 'EUR'::text"
                )
            guess.confidence, guess.choices = OPEN, codes + others
        elif guess.confidence == OPEN:
            guess.choices += others

    def _check_nulls(self, proposal: Proposal) -> None:
        """Required columns that are mostly null are open."""
        relation = proposal.relation
        assert relation is not None
        used = {}
        for guess in proposal.guesses:
            for column in relation.columns.values():
                if (
                    guess.confidence in (HIGH, MEDIUM)
                    and guess.expression.startswith(
                        (f"{SOURCE}.{column.sql}:", f"{SOURCE}.{column.sql} ")
                    )
                ) or guess.expression == f"{SOURCE}.{column.sql}":
                    used[guess.column] = column
        columns = list({column.name: column for column in used.values()}.values())
        shares = self.nulls(relation, columns) if columns else {}
        for guess in proposal.guesses:
            column = used.get(guess.column)
            share = shares.get(column.name, 0) if column is not None else 0
            if share <= _MOSTLY:
                continue
            guess.reason += f"; null in {share:.0%} of the rows"
            if guess.column in REQUIRED.get(proposal.table.name, ()) and (
                # Guests order without an account.
                guess.column != "user_id"
            ):
                data_type = proposal.table.columns[guess.column]
                guess.choices = [guess.expression]
                guess.expression, guess.confidence = f"null::{data_type}", OPEN

    def _stamps(self, proposal: Proposal) -> list[Guess]:
        """`_deleted_at` and `xmin`, and for views in the warehouse `_loaded_at`."""
        relation = proposal.relation
        assert relation is not None
        found: list[Guess] = []
        moved = next((each for each in proposal.guesses if each.column == "updated_at"), None)
        if self.choices.is_stamped:
            found.append(self._loaded_at(relation, moved))
        found += self._deleted_at(relation, moved)
        if self.choices.is_stamped and found[-1].column != DELETED_AT:
            reason = f"{_NO_COLUMN}: rows that are deleted stay until a full refresh"
            found.append(Guess(DELETED_AT, "null::timestamptz", NONE, reason))
        if relation.shows_xmin:
            reason = "the transaction that wrote the row"
            found.append(Guess("xmin", f"{SOURCE}.xmin", HIGH, reason))
        return found

    def _loaded_at(self, relation: Relation, moved: Guess | None) -> Guess:
        for name, expression in words.STAMPS.items():
            if name in relation.columns:
                column = relation.columns[name]
                text = expression.format(f"{SOURCE}.{column.sql}")
                return Guess(LOADED_AT, text, HIGH, f"named {name}")
        if moved is not None and moved.confidence in (HIGH, MEDIUM):
            reason = "is it set on every change of a row, and never null?"
            return Guess(LOADED_AT, moved.expression, OPEN, reason)
        reason = "no column says when a row changed: see docs/adapting.md for a trigger"
        return Guess(LOADED_AT, "null::timestamptz", OPEN, reason)

    def _deleted_at(self, relation: Relation, moved: Guess | None) -> list[Guess]:
        """The application's own mark of deletion, and that of a tool or a trigger."""
        by_name = {snake(name): column for name, column in relation.columns.items()
                   if name != DELETED_AT}  # fmt: skip
        marks = self._marks_of_application(by_name, moved) + self._marks_of_tools(relation)
        if len(marks) < 2:
            return [guess for _, guess in marks]
        # A row that the application only marks is deleted, too.
        names = ", else ".join(name for name, _ in marks)
        parts = [each.expression if each.confidence != OPEN else each.choices[0]
                 for _, each in marks]  # fmt: skip
        both = f"coalesce({', '.join(parts)})"
        doubts = [each.reason for _, each in marks if each.confidence == OPEN]
        if doubts:
            return [Guess(DELETED_AT, "null::timestamptz", OPEN, "; ".join(doubts), [both])]
        return [Guess(DELETED_AT, both, MEDIUM, names)]

    def _marks_of_tools(self, relation: Relation) -> list[tuple[str, Guess]]:
        columns = {snake(name): name for name in relation.columns}
        if "ab_cdc_deleted_at" in columns:
            expression = f"{SOURCE}._ab_cdc_deleted_at::timestamptz"
            return [
                (
                    "_ab_cdc_deleted_at",
                    Guess(DELETED_AT, expression, HIGH, "Airbyte's time of deletion"),
                )
            ]
        if "fivetran_deleted" in columns and "fivetran_synced" in columns:
            text = "case when {0}._fivetran_deleted then {0}._fivetran_synced::timestamptz end"
            return [
                (
                    "_fivetran_deleted",
                    Guess(DELETED_AT, text.format(SOURCE), HIGH, "Fivetran's flag"),
                )
            ]
        column = relation.columns.get(DELETED_AT)
        if column is not None and column.kind in _USABLE["timestamptz"]:
            return [(column.name, self._time(DELETED_AT, column, HIGH))]
        return []

    def _marks_of_application(
        self, by_name: dict[str, Column], moved: Guess | None
    ) -> list[tuple[str, Guess]]:
        times = [
            (by_name[name].name, self._time(DELETED_AT, by_name[name], HIGH))
            for name in words.DELETED_TIMES
            if name in by_name and by_name[name].kind in _USABLE["timestamptz"]
        ]
        if times:
            return times
        for name in words.DELETED_FLAGS:
            column = by_name.get(name)
            if column is None:
                continue
            flag = f"{SOURCE}.{column.sql}"
            if column.kind != "boolean":
                reason = (
                    f"{column.name} is {column.data_type}: which values mean deleted, and when?"
                )
                is_moved = moved is not None and moved.confidence in (HIGH, MEDIUM)
                at = moved.expression if is_moved else "timestamptz '2000-01-01'"
                value = "1" if column.kind in ("integer", "number") else "'...'"
                choices = [f"case when {flag} = {value} then {at} end"]
                guess = Guess(DELETED_AT, "null::timestamptz", OPEN, reason, choices)
            elif moved is not None and moved.confidence in (HIGH, MEDIUM):
                expression = f"case when {flag} then {moved.expression} end"
                guess = Guess(DELETED_AT, expression, MEDIUM, f"{name}, at its last change")
            else:
                reason = f"{name} says that a row is deleted, but not when"
                choices = [f"case when {flag} then timestamptz '2000-01-01' end"]
                guess = Guess(DELETED_AT, "null::timestamptz", OPEN, reason, choices)
            return [(column.name, guess)]
        return []

    def _row_questions(self, table: str, relation: Relation) -> list[tuple[str, str]]:
        """Columns that say of what kind a row is: perhaps not all rows are orders."""
        if table not in ("orders", "order_items", "payments"):
            return []
        found = []
        for column in relation.columns.values():
            forms = self._forms(relation, table, column)
            name = f"{SOURCE}.{column.sql}"
            is_kind = forms & {bare(word) for word in words.DISCRIMINATORS}
            if column.kind == "boolean" and (is_kind or forms & {"isdraftorder"}):
                found.append((f"are rows with {column.name} meant?", f"not {name}"))
            elif is_kind and column.kind in ("text", "enum"):
                rows = self.values(relation, column) or []
                if len(rows) == 1 or len(rows) > MOST_VALUES:
                    continue
                shown = ", ".join(f"{_shown(value)} ({count:,})" for value, count in rows)
                example = rows[0][0] if rows and rows[0][0] is not None else "..."
                literal = _quoted(example)
                reason = f"rows of which {column.name} are {table}? {shown or 'no values yet'}"
                found.append((reason, f"{name} = {literal}"))
            elif forms & {"version", "revision"} and table == "order_items":
                found.append(
                    (
                        f"does {column.name} repeat the lines of an order? Then keep the last.",
                        "",
                    )
                )
        return found


def unused(proposal: Proposal, *, with_choices: bool = False) -> list[Column]:
    """The columns of the source that a select does not read.

    Args:
        proposal: the select.
        with_choices: leave out those that a choice or a question reads, too.
    """
    if proposal.relation is None:
        return []
    texts = [each.expression for each in proposal.guesses] + proposal.joins
    if with_choices:
        texts += [choice for each in proposal.guesses for choice in each.choices]
        texts += [example for _, example in proposal.rows]
    read = "\n".join(texts)
    return [
        column
        for column in proposal.relation.columns.values()
        if not re.search(rf"\b{SOURCE}\.{re.escape(column.sql)}(?![\w$\"])", read)
    ]


def _columns_of_users(proposal: Proposal) -> frozenset[str]:
    """The columns that are, or may be, the user: a client may be a customer or a browser."""
    taken = [each for each in proposal.guesses if each.column == "user_id"]
    texts = {text for each in taken for text in (each.expression, *each.choices)}
    assert proposal.relation is not None
    return frozenset(
        column.name
        for column in proposal.relation.columns.values()
        if f"{SOURCE}.{column.sql}::text" in texts
    )


def cost(table: Table, column: str, *, is_stamped: bool) -> str | None:
    """What the warehouse lacks without a column, if that is more than the column."""
    if column == table.incremental_column and not is_stamped:
        return "each load reads the whole table"
    return words.COSTS.get((table.name, column))


def _say_what_is_missing(proposal: Proposal, *, is_stamped: bool) -> None:
    is_any_unused = bool(unused(proposal))
    for guess in proposal.guesses:
        if guess.confidence == NONE and (without := cost(proposal.table, guess.column,
                                                         is_stamped=is_stamped)):  # fmt: skip
            guess.reason += f": {without}"
        if is_any_unused and guess.reason.startswith(_NO_COLUMN):
            # It may be there under a name of the application's own.
            rest = guess.reason.removeprefix(_NO_COLUMN)
            guess.reason = f"none of the names known; unused columns are below{rest}"


def nothing(table: Table, confidence: str, reason: str, *, is_stamped: bool) -> Proposal:
    """A proposal without any expression, for a table that must be written by hand."""
    required = REQUIRED.get(table.name, (table.key,))
    guesses = [
        Guess(
            column,
            f"null::{data_type}",
            OPEN if column in required else NONE,
            "to be written" if column in required else "optional",
        )
        for column, data_type in table.columns.items()
    ]
    if is_stamped:
        guesses.append(Guess(LOADED_AT, "null::timestamptz", OPEN, "when the row changed"))
    guesses.append(Guess(DELETED_AT, "null::timestamptz", NONE, "optional"))
    return Proposal(table, None, confidence, reason, guesses, is_disabled=True)


def _case(subject: str, cases: list[str], otherwise: str) -> str:
    lines = "".join(f"\n        {case}" for case in cases)
    return f"case {subject}{lines}\n        else {otherwise}\n    end"


def _quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _key_text(column: Column) -> str:
    """A part of a key as text, the same in every session."""
    name = f"{SOURCE}.{column.sql}"
    if column.kind in ("timestamp", "timestamptz", "date"):
        return f"extract(epoch from {name})::text"
    return f"{name}::text"


def _is_utc(column: Column) -> bool:
    """Whether a timestamp says in its name that it is in UTC."""
    return column.kind == "timestamp" and snake(column.name).endswith(("_gmt", "_utc"))


def _same_kind(one: Column, other: Column) -> bool:
    """Whether two columns can hold the same keys."""
    groups = ({"integer", "number"}, {"text", "enum"}, {"uuid"})
    return any(one.kind in group and other.kind in group for group in groups)


def _shared_prefixes(relations: object) -> tuple[str, ...]:
    """What most names of tables begin with, as in spree_orders and spree_users."""
    names = [snake(each.name) for each in relations]  # type: ignore[attr-defined]
    counts = Counter(f"{name.split('_')[0]}_" for name in names if "_" in name)
    return tuple(
        prefix for prefix, count in counts.items() if count >= 4 and 2 * count >= len(names)
    )


def _shown(value: str | None) -> str:
    """A value in a comment: short, and on one line."""
    text = "null" if value is None else " ".join(value.split())
    return text if len(text) <= 30 else text[:27] + "..."
