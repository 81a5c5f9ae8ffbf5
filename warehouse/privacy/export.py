"""Everything that the warehouse holds of a person, as a zip of JSON files with an index page."""

from __future__ import annotations

import html
import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse.privacy.erase import add_keys, add_telling_values, rows_of
from warehouse.privacy.inventory import Relation
from warehouse.privacy.registry import Belonging, Registry

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Your data</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; vertical-align: top }}
tr {{ border-bottom: 1px solid #ccc }}
td.number {{ text-align: right }}
</style>
<h1>Your data</h1>
<p>This is what the analytics warehouse holds of the person with the key <b>{person}</b>,
on {day}. Each line is a file of JSON: a list of rows, with the name and the value of each
column. The files <i>raw</i> are copies of what the application stored; all others are computed from
them.</p>
<table>
<tr><th>file</th><th>what it is</th><th>rows</th></tr>
{rows}
</table>
</html>
"""


@dataclass(frozen=True)
class Export:
    """The data of a person.

    Attributes:
        files: the content of each file, by its name.
        rows: the number of rows by relation.
    """

    files: dict[str, str]
    rows: dict[str, int]

    def zipped(self) -> bytes:
        """The files as a zip."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
            for name, content in self.files.items():
                target.writestr(name, content)
        return buffer.getvalue()


def export(
    session: psycopg.Connection[Any],
    registry: Registry,
    person: str,
    descriptions: dict[str, str],
) -> Export:
    """Collect what is held of a person; changes nothing.

    Args:
        session: a connection whose session has the keys, not in a transaction.
        registry: what the warehouse holds.
        person: the person's key, as the application wrote it.
        descriptions: what a relation is, by dbt's id.
    """
    from psycopg.types.json import Jsonb

    files: dict[str, str] = {}
    rows: dict[str, int] = {}
    lines = []
    with session.transaction(force_rollback=True):
        # One moment for all tables.
        session.execute("set transaction isolation level repeatable read")
        row = session.execute("select to_char(now(), 'YYYY-MM-DD')").fetchone()
        day = row[0] if row else ""
        session.execute("select privacy.create_person_keys()")
        session.execute("truncate pg_temp.person_keys")
        add_keys(session, registry.person, [(person, "")])
        session.execute("select privacy.add_related_keys(%s)", [Jsonb([*registry.sources])])
        add_telling_values(session, registry)
        conditions = [(each.relation, rows_of(session, each)) for each in registry.holdings]
        conditions += [
            (each.relation, _of_owner(each, registry.person)) for each in registry.belongings
        ]
        for relation, condition in sorted(conditions, key=lambda each: _order(each[0])):
            found = _rows(session, relation, condition)
            if not found:
                continue
            name = f"{relation.schema}.{relation.name}"
            rows[name] = len(found)
            file = f"{name}.json"
            files[file] = json.dumps(found, indent=2, ensure_ascii=False, default=str) + "\n"
            said = " ".join(descriptions.get(relation.unique_id, "").split())
            lines.append(
                f'<tr><td><a href="{html.escape(file)}">{html.escape(name)}</a></td>'
                f'<td>{html.escape(said)}</td><td class="number">{len(found):,}</td></tr>'
            )
    page = _PAGE.format(person=html.escape(person), day=day, rows="\n".join(lines))
    return Export({"index.html": page, **files}, rows)


def _order(relation: Relation) -> tuple[bool, str, str]:
    """What the application stored comes first."""
    return relation.kind != "source", relation.schema, relation.name


def _of_owner(each: Belonging, person: str) -> sql.Composable:
    from psycopg import sql

    return sql.SQL(
        "t.{key}::text in (select owner.{key}::text from {owner} as owner"
        " where owner.{person}::text in"
        " (select old_value from pg_temp.person_keys where identifier = {identifier}))"
    ).format(
        key=sql.Identifier(each.key),
        owner=sql.Identifier(each.owner.schema, each.owner.name),
        person=sql.Identifier(person),
        identifier=sql.Literal(person),
    )


def _rows(
    session: psycopg.Connection[Any], relation: Relation, condition: sql.Composable
) -> list[Any]:
    from psycopg import sql

    query = sql.SQL("select to_jsonb(t) from {} as t where {}").format(
        sql.Identifier(relation.schema, relation.name), condition
    )
    return [found for (found,) in session.execute(query)]
