"""What the collectors read: the relations of a target, through one connection."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    from warehouse.contract import Contract


class MissingRelationError(WarehouseError):
    """A relation does not exist yet."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """A value of a metric; None stands for a value that is not known, and becomes NaN."""

    metric: str
    value: float | None
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Reader:
    """A session, and where the target's relations are.

    Attributes:
        session: a connection in autocommit mode that may only read.
        schema_prefix: what the target puts before the names of its schemas.
        contract: the source contract.
        present: the tables of the contract that the application has.
    """

    session: psycopg.Connection[Any]
    schema_prefix: str
    contract: Contract
    present: tuple[str, ...]

    def own(self, schema: str, name: str) -> sql.Identifier:
        """A relation of the target: its schema has the target's prefix.

        Raises:
            MissingRelationError: it does not exist.
        """
        return self.shared(self.schema_prefix + schema, name)

    def shared(self, schema: str, name: str) -> sql.Identifier:
        """A relation that all targets share, such as a raw table.

        Raises:
            MissingRelationError: it does not exist.
        """
        from psycopg import sql

        relation = sql.Identifier(schema, name)
        shown = relation.as_string(self.session)
        if self.session.execute("select to_regclass(%s)", [shown]).fetchone() == (None,):
            raise MissingRelationError(f"{schema}.{name} does not exist yet")
        return relation

    def rows(self, query: str, /, values: Any = None, **relations: sql.Identifier) -> list[Any]:
        """The rows of a query, as named tuples.

        Args:
            query: the query; `{name}` stands for one of `relations`.
            values: what replaces its placeholders.
            relations: the relations that the query names.
        """
        from psycopg import rows, sql

        with self.session.cursor(row_factory=rows.namedtuple_row) as cursor:
            return cursor.execute(sql.SQL(query).format(**relations), values).fetchall()

    def schemas(self) -> list[str]:
        """The schemas that the project writes."""
        own = (
            *("staging", "snapshots", "intermediate", "marts", "reporting", "quarantine"),
            *("published", "ml", "observability", "partitions"),
        )
        return [self.contract.schema, "quarantine", *(self.schema_prefix + name for name in own)]
