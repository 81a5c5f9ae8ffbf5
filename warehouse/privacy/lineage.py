"""Which columns a column gets its values from, read from the SQL that dbt compiled.

A value flows through functions, casts, unions, json and aggregates. It does not flow through a
condition: a comparison, the branch that `case` chooses by, the key of a join, a count. A text that
goes through a mask comes out as masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from warehouse.errors import WarehouseError

DIALECT = "postgres"
# The function that stands for a mask while lineage is read.
_MASKED = "masked_value"
# What these return says nothing of the value itself.
_COUNTS = exp.Count | exp.Length | exp.ApproxDistinct | exp.Exists
_COUNTING_NAMES = frozenset(
    ("octet_length", "char_length", "bit_length", "pg_column_size", "num_nulls", "num_nonnulls")
)
# The hash of a value is another value: it stands for the same person.
_HASHES = exp.MD5 | exp.MD5Digest | exp.SHA | exp.SHA2
_HASHING_NAMES = frozenset(
    ("sha224", "sha256", "sha384", "sha512", "digest", "hmac", "hashtext", "pseudonym")
)
# Columns that each table of PostgreSQL has.
_OF_SYSTEM = frozenset(("ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"))


@dataclass(frozen=True, order=True)
class Column:
    """A column of a relation.

    Attributes:
        schema: the schema of the relation.
        relation: its name in the database.
        name: the name of the column.
    """

    schema: str
    relation: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.relation}.{self.name}"


@dataclass
class Origins:
    """Where the values of a column come from.

    Attributes:
        values: columns whose values it may contain.
        masked: columns whose values it contains behind a mask.
        hashed: those of `values` that are the input of a hash.
    """

    values: set[Column] = field(default_factory=set)
    masked: set[Column] = field(default_factory=set)
    hashed: set[Column] = field(default_factory=set)

    def add(self, other: Origins, *, behind_mask: bool = False, behind_hash: bool = False) -> None:
        """Add the origins of a part of the expression."""
        self.masked |= other.masked
        self.hashed |= other.values if behind_hash else other.hashed
        (self.masked if behind_mask else self.values).update(other.values)


def parse(sql: str) -> exp.Expr:
    """The syntax tree of a query.

    Args:
        sql: the query, in PostgreSQL's dialect.

    Raises:
        WarehouseError: it is not a query that sqlglot can read.
    """
    try:
        return sqlglot.parse_one(sql, read=DIALECT)
    except SqlglotError as error:
        raise WarehouseError(f"cannot be parsed: {_line(error)}") from None


def masks_of(sql: str) -> dict[str, exp.Expr]:
    """The masks that a query applies to a column each, by the name of the result.

    Args:
        sql: a query whose last select applies each mask to one column.
    """
    return {
        each.alias_or_name: each.unalias()
        for each in parse(sql).selects
        if not isinstance(each.unalias(), exp.Column)
    }


def columns_of(
    sql: str,
    known: Mapping[tuple[str, str], Iterable[str]],
    masks: Iterable[exp.Expr] = (),
) -> dict[str, Origins]:
    """The columns that a query returns, in their order, with their origins.

    Args:
        sql: the query.
        known: the columns of the relations that it may read, by schema and name.
        masks: expressions of one column, as `masks_of` returns them.

    Raises:
        WarehouseError: the query cannot be read, or reads an unknown column.
    """
    tree = parse(sql)
    for mask in masks:
        tree = _mark(tree, mask)
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for (folder, name), columns in known.items():
        schema.setdefault(folder, {})[name] = dict.fromkeys(columns, "text")
    # All relations are in one database; its name differs from target to target.
    for table in tree.find_all(exp.Table):
        table.set("catalog", None)
    try:
        tree = qualify(tree, schema=schema, dialect=DIALECT, validate_qualify_columns=False)
    except SqlglotError as error:
        raise WarehouseError(f"cannot be resolved: {_line(error)}") from None
    root = build_scope(tree)
    if root is None:
        raise WarehouseError("is no query.")
    reader = _Reader(root)
    names = [each.alias_or_name for each in _selects(root)]
    if "*" in names:
        raise WarehouseError("selects * from a relation whose columns are not known.")
    return {name: reader.of_output(root, place) for place, name in enumerate(names)}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _mark(tree: exp.Expr, mask: exp.Expr) -> exp.Expr:
    """Replace each use of a mask by a function of the value that it masks."""

    def replaced(node: exp.Expr) -> exp.Expr:
        found: list[exp.Expr] = []
        if type(node) is type(mask) and _fits(mask, node, found):
            return exp.Anonymous(this=_MASKED, expressions=[found[0].copy()])
        return node

    return tree.transform(replaced)


def _fits(mask: Any, node: Any, found: list[exp.Expr]) -> bool:
    """Whether a part of a query is the mask, with the same expression for its column throughout."""
    if isinstance(mask, exp.Column):
        if not isinstance(node, exp.Expr):
            return False
        if not found:
            found.append(node)
        return node == found[0]
    if isinstance(mask, list):
        return (
            isinstance(node, list)
            and len(mask) == len(node)
            and all(_fits(one, other, found) for one, other in zip(mask, node, strict=True))
        )
    if not isinstance(mask, exp.Expr):
        return bool(mask == node) or (not mask and not node)
    return type(mask) is type(node) and all(
        _fits(mask.args.get(name), node.args.get(name), found)
        for name in {*mask.args, *node.args} - {"comments"}
    )


def _selects(scope: Scope) -> list[exp.Expr]:
    return scope.expression.selects


class _Reader:
    """Follows columns through the scopes of one query."""

    def __init__(self, root: Scope) -> None:
        self._known: dict[tuple[int, int], Origins] = {}
        # Within a recursive query, sqlglot gives a scope that it has not visited.
        self._visited = {id(each.expression): each for each in root.traverse()}

    def of_output(self, scope: Scope, place: int) -> Origins:
        """The origins of a column of a scope, by its place."""
        scope = self._visited.get(id(scope.expression), scope)
        key = (id(scope), place)
        if key not in self._known:
            # A recursive query meets itself here, and adds nothing of its own.
            origins = self._known[key] = Origins()
            if scope.set_operation_scopes:
                for part in scope.set_operation_scopes:
                    origins.add(self.of_output(part, place))
            else:
                self._follow(scope, _selects(scope)[place], origins)
        return self._known[key]

    def _follow(
        self, scope: Scope, expression: exp.Expr, into: Origins, behind_mask: bool = False
    ) -> None:
        for node, is_masked, is_hashed in _values(expression, behind_mask, False):
            if isinstance(node, exp.TableColumn):
                found = [self._of_row(scope, scope.sources[node.name])]
            elif isinstance(node, exp.Column):
                found = [self._of_column(scope, node)]
            else:
                places = range(len(node.selects))
                found = [self._of_subquery(scope, node, place) for place in places]
            for origins in found:
                into.add(origins, behind_mask=is_masked, behind_hash=is_hashed)

    def _of_subquery(self, scope: Scope, query: exp.Expr, place: int) -> Origins:
        for each in scope.subquery_scopes:
            if each.expression is query:
                return self.of_output(each, place)
        return Origins()

    def _of_column(self, scope: Scope | None, column: exp.Column) -> Origins:
        while scope is not None:
            if column.table in scope.sources:
                return self._of_source(scope, scope.sources[column.table], column.name)
            if not column.table and column.name in scope.sources:
                return self._of_row(scope, scope.sources[column.name])
            scope = scope.parent
        if column.name in _OF_SYSTEM:
            return Origins()
        raise WarehouseError(f"reads {column.sql(DIALECT)}, whose relation is not known.")

    def _of_source(self, scope: Scope, source: Any, name: str) -> Origins:
        if isinstance(source, exp.Table):
            return Origins({Column(source.db, source.name, name)})
        if isinstance(source.expression, exp.UDTF) or not isinstance(source.expression, exp.Query):
            origins = Origins()
            self._follow(source, source.expression, origins)
            return origins
        names = [each.alias_or_name for each in _selects(source)]
        if name not in names:
            # A column list after the alias of a CTE renames its columns.
            return self._of_row(scope, source)
        return self.of_output(source, names.index(name))

    def _of_row(self, scope: Scope, source: Any) -> Origins:
        """A whole row as one value, as in to_jsonb(users)."""
        if isinstance(source, exp.Table):
            return Origins({Column(source.db, source.name, "*")})
        origins = Origins()
        if isinstance(source.expression, exp.Query):
            for place in range(len(_selects(source))):
                origins.add(self.of_output(source, place))
        return origins


def _values(
    expression: exp.Expr, behind_mask: bool, behind_hash: bool
) -> Iterator[tuple[exp.Expr, bool, bool]]:
    """The columns and subqueries whose values an expression may return, whether masked, hashed."""
    if isinstance(expression, exp.Column | exp.TableColumn | exp.Query):
        query = expression.unnest() if isinstance(expression, exp.Subquery) else expression
        yield query, behind_mask, behind_hash
        return
    behind_hash = behind_hash or _is_hash(expression)
    for child in _parts(expression):
        is_mask = isinstance(child, exp.Anonymous) and child.name.lower() == _MASKED
        yield from _values(child, behind_mask or is_mask, behind_hash)


def _is_hash(expression: exp.Expr) -> bool:
    if isinstance(expression, exp.Anonymous):
        return expression.name.lower() in _HASHING_NAMES
    return isinstance(expression, _HASHES)


def _parts(expression: exp.Expr) -> Iterable[exp.Expr]:
    """The parts of an expression that its value is made of."""
    if isinstance(expression, exp.Predicate | exp.Connector | exp.Not | _COUNTS):
        return ()
    if isinstance(expression, exp.Anonymous) and expression.name.lower() in _COUNTING_NAMES:
        return ()
    if isinstance(expression, exp.Case):
        branches = [each.args["true"] for each in expression.args["ifs"]]
        default = expression.args.get("default")
        return [*branches, *([default] if default else [])]
    if isinstance(expression, exp.If):
        branches = [expression.args.get("true"), expression.args.get("false")]
        return [each for each in branches if each]
    if isinstance(expression, exp.Nullif | exp.Window | exp.Filter | exp.Order):
        return [expression.this] if expression.this else []
    return list(expression.iter_expressions())
