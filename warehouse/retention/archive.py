"""The archive: Parquet files, and their catalogue `observability.archived_files`.

A row of the catalogue names up to three files:

file                  rows that are no longer in the database; the manifest lists it
file_being_written    not complete, or not yet in place of `file`
file_to_delete        no longer in place

A name is noted before its file is written, and forgotten after its file was deleted. So a killed
run leaves no unknown file: `tidy` deletes what a run did not finish. Beside the files, the
manifest repeats the catalogue, so that the archive can be read without the database; it is written
before a file is relied on, and before one is deleted.

Callers hold the build lock (`warehouse.database.build_lock`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError
from warehouse.retention import store
from warehouse.retention.columns import FORMATS, Column, columns_of, hash_of_row, hashes_of
from warehouse.retention.policy import Part, identifier

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

MANIFEST = "manifest.json"
# A whole file must fit into memory, because `rewrite_archived` reads it whole. Both are sizes of
# the rows as text.
FILE_BYTES = 128 * 2**20
BATCH_BYTES = 8 * 2**20
BATCH_ROWS = 50_000
_METADATA = b"warehouse"
# The column of recalled rows that says from which file they are.
FILE_COLUMN = "_file_id"


@dataclasses.dataclass(frozen=True)
class ArchivedFile:
    """A file of the archive.

    Attributes:
        file_id: its key in the catalogue, which stays if the file is rewritten.
        model: the model whose rows it holds.
        lower_bound: start of the time of its rows, inclusive, in UTC.
        upper_bound: end of it, exclusive.
        file: its path or URL.
        row_count: number of rows.
        checksum: the sum of the hashes of its rows, whatever their order.
        columns: its columns.
        retention: the policy by which it was archived.
        archived_at: when, in UTC; empty while it is being written.
        archived_by: the database role.
    """

    file_id: int
    model: str
    lower_bound: str
    upper_bound: str
    file: str
    row_count: int
    checksum: str
    columns: tuple[Column, ...]
    retention: str
    archived_at: str = ""
    archived_by: str = ""


def archived_files(
    session: psycopg.Connection[Any], observability: str = "observability", model: str | None = None
) -> list[ArchivedFile]:
    """The files of the archive, the oldest first.

    Args:
        session: a connection.
        observability: the schema of the catalogue.
        model: only the files of this model; None for all.
    """
    from psycopg import sql

    rows = session.execute(
        sql.SQL(
            "select file_id, model_name, (lower_bound at time zone 'UTC')::text,"
            " (upper_bound at time zone 'UTC')::text, file, row_count, checksum, columns,"
            " retention, (archived_at at time zone 'UTC')::text, archived_by from {}"
            " where file is not null and (%s::text is null or model_name = %s)"
            " order by model_name, lower_bound, file_id"
        ).format(_catalogue(observability)),
        [model, model],
    ).fetchall()
    return [
        ArchivedFile(
            *(*row[:7], tuple(Column(**column) for column in row[7]), *row[8:]),
        )
        for row in rows
    ]


def write_part(
    session: psycopg.Connection[Any], notes: psycopg.Connection[Any], part: Part, location: str
) -> list[ArchivedFile]:
    """Write the rows of a part of a table into files, and verify them by reading them back.

    The files count only once `adopt` was called, in the transaction that takes the rows out of the
    table. Until then, `tidy` deletes them.

    Args:
        session: a connection, not in a transaction; reads the rows, all in one snapshot.
        notes: a second connection, in autocommit mode, for the catalogue.
        part: the rows.
        location: the archive store.

    Returns:
        The files, none if there are no rows.

    Raises:
        WarehouseError: the store failed, or a file differs from the rows.
    """
    policy = part.policy
    folder = store.join(location, policy.folder)
    files = []
    # A store that fails, or belongs to another database, is found before anything is noted.
    write_manifest(notes, policy.observability, policy.model, folder)
    with session.transaction():
        session.execute("set transaction isolation level repeatable read, read only")
        session.execute(FORMATS)
        columns = columns_of(session, part.relation, part.where)
        # Closed before the transaction ends, because a copy that goes on would block the session.
        with contextlib.closing(_batches(session, part, columns)) as batches:
            batch = next(batches, None)
            while batch is not None:
                name = f"{part.lower[:10]}_{part.upper[:10]}_{uuid.uuid4().hex}.parquet"
                file = _note(notes, part, store.join(folder, name), columns)
                count, total, size = 0, 0, 0
                with store.creating(file.file) as path, _writer(path, file) as writer:
                    while batch is not None and size < FILE_BYTES:
                        writer.write_batch(batch.rows)
                        count, total = count + batch.rows.num_rows, total + batch.checksum
                        size += batch.size
                        batch = next(batches, None)
                # For the manifest; the catalogue has the moment at which the rows leave the table.
                now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
                file = dataclasses.replace(
                    file, row_count=count, checksum=str(total), archived_at=now
                )
                verify(file)
                files.append(_complete(notes, policy.observability, file))
    if files:
        write_manifest(notes, policy.observability, policy.model, folder, files)
    return files


def adopt(
    session: psycopg.Connection[Any], observability: str, files: Sequence[ArchivedFile]
) -> None:
    """Let files count, in the caller's transaction, which takes their rows out of the table."""
    if not files:
        return
    from psycopg import sql

    session.execute(
        sql.SQL(
            "update {} set file = file_being_written, file_being_written = null,"
            " archived_at = clock_timestamp() where file_id = any(%s)"
        ).format(_catalogue(observability)),
        [[file.file_id for file in files]],
    )


def rewrite_archived(
    session: psycopg.Connection[Any],
    file_id: int,
    change: Callable[[pa.Table], pa.Table | None],
    observability: str = "observability",
) -> bool:
    """Change the rows of an archived file, as an erasure does.

    Writes a new file beside the old one, verifies it, puts it in place in the catalogue, and
    deletes the old file. Whenever it is killed, call it again: the file has its old rows or its new
    ones, and what is left over is deleted. So `change` may be called with rows that it has changed
    already. Rows of the file that were recalled are dropped; recall them again.

    Args:
        session: a connection, not in a transaction.
        file_id: the file, as `archived_files` lists it.
        change: gets all rows of the file, and returns the changed ones with the same columns, or
            None to leave the file as it is. The file fits into memory: it has about 128 MiB as
            text.
        observability: the schema of the catalogue.

    Returns:
        Whether the file was changed.

    Raises:
        WarehouseError: there is no such file, `change` returned other columns, the file differs
            from its checksum, or the store failed.
    """
    import pyarrow as pa
    from psycopg import sql

    tidy(session, observability, file_id)
    found = [file for file in archived_files(session, observability) if file.file_id == file_id]
    session.commit()
    if not found:
        raise WarehouseError(
            f"There is no archived file with the file_id {file_id} in {observability}"
            ".archived_files: it was deleted, or never archived."
        )
    (old,) = found
    verify(old)
    with store.opened(old.file) as stream, _reader(stream) as reader:
        table = reader.read()
    changed = change(table)
    if changed is None:
        return False
    schema = _schema(old.columns)
    if not changed.schema.equals(schema):
        raise WarehouseError(
            f"The change of {old.file} returned the columns {_told(changed.schema)}; allowed are"
            f" those of the file, {_told(schema)}."
        )
    folder = store.folder_of(old.file)
    name = f"{old.lower_bound[:10]}_{old.upper_bound[:10]}_{uuid.uuid4().hex}.parquet"
    new = dataclasses.replace(old, file=store.join(folder, name))
    session.execute(
        sql.SQL("update {} set file_being_written = %s where file_id = %s").format(
            _catalogue(observability)
        ),
        [new.file, file_id],
    )
    session.commit()
    total = 0
    with store.creating(new.file) as path, _writer(path, new) as writer:
        for rows in changed.to_batches(max_chunksize=BATCH_ROWS):
            writer.write_batch(pa.RecordBatch.from_arrays(rows.columns, schema=schema))
            total += sum(hashes_of(rows, new.columns))
    new = dataclasses.replace(new, row_count=changed.num_rows, checksum=str(total))
    verify(new)
    write_manifest(session, observability, old.model, folder, [new])
    with session.transaction():
        session.execute(
            sql.SQL(
                "update {} set file = file_being_written, file_being_written = null,"
                " file_to_delete = file, row_count = %s, byte_count = %s, checksum = %s,"
                " rewritten_at = clock_timestamp() where file_id = %s"
            ).format(_catalogue(observability)),
            [new.row_count, store.size(new.file), new.checksum, file_id],
        )
        forget_recalled(session, observability, [file_id])
    tidy(session, observability, file_id)
    return True


def delete_file(
    session: psycopg.Connection[Any], observability: str, file: ArchivedFile, reason: str
) -> None:
    """Delete a file from the archive; its row in the catalogue stays, with the reason."""
    from psycopg import sql

    with session.transaction():
        session.execute(
            sql.SQL(
                "update {} set file = null, file_to_delete = file, deleted_because = %s"
                " where file_id = %s"
            ).format(_catalogue(observability)),
            [reason, file.file_id],
        )
        forget_recalled(session, observability, [file.file_id])
    tidy(session, observability, file.file_id)


def tidy(session: psycopg.Connection[Any], observability: str, file_id: int | None = None) -> None:
    """Delete the files that a run has not finished, or was about to delete.

    Args:
        session: a connection, not in a transaction.
        observability: the schema of the catalogue.
        file_id: only those of this row of the catalogue; None for all.

    Raises:
        WarehouseError: the store failed. The files stay noted, so the next run tries again.
    """
    from psycopg import sql

    catalogue = _catalogue(observability)
    rows = session.execute(
        sql.SQL(
            "select file_id, model_name, file_being_written, file_to_delete from {}"
            " where num_nonnulls(file_being_written, file_to_delete) > 0"
            " and (%s::bigint is null or file_id = %s) order by file_id"
        ).format(catalogue),
        [file_id, file_id],
    ).fetchall()
    session.commit()
    folders = {
        (model, store.folder_of(name))
        for _, model, *names in rows
        for name in names
        if name is not None
    }
    for model, folder in sorted(folders):
        write_manifest(session, observability, model, folder)
    for number, _, *names in rows:
        for name in names:
            if name is not None:
                store.delete(name)
        with session.transaction():
            session.execute(
                sql.SQL(
                    "update {} set file_being_written = null, file_to_delete = null, deleted_at ="
                    " case when file is null then clock_timestamp() end where file_id = %s"
                ).format(catalogue),
                [number],
            )
            session.execute(
                sql.SQL(
                    "delete from {} where file_id = %s and file is null and archived_at is null"
                ).format(catalogue),
                [number],
            )


def forget_recalled(
    session: psycopg.Connection[Any], observability: str, file_ids: Sequence[int]
) -> None:
    """Drop the recalled rows of files, in the caller's transaction."""
    from psycopg import sql

    catalogue = _catalogue(observability)
    rows = session.execute(
        sql.SQL(
            "select file_id, recalled_into from {}"
            " where file_id = any(%s) and recalled_into is not null"
        ).format(catalogue),
        [list(file_ids)],
    ).fetchall()
    for file_id, name in rows:
        if session.execute("select to_regclass(%s)", [name]).fetchone() == (None,):
            continue
        table = identifier(name)
        session.execute(
            sql.SQL("delete from {} where {} = %s").format(table, sql.Identifier(FILE_COLUMN)),
            [file_id],
        )
        left = session.execute(sql.SQL("select exists (select from {})").format(table)).fetchone()
        if left == (False,):
            session.execute(sql.SQL("drop table {}").format(table))
    session.execute(
        sql.SQL(
            "update {} set recalled_until = null, recalled_into = null where file_id = any(%s)"
        ).format(catalogue),
        [list(file_ids)],
    )


def verify(file: ArchivedFile) -> None:
    """Read a file, and compare its columns, its number of rows and its checksum.

    Raises:
        WarehouseError: one of them differs, or the file cannot be read.
    """
    count, total = 0, 0
    with store.opened(file.file) as stream, _reader(stream) as reader:
        given = json.loads((reader.schema_arrow.metadata or {}).get(_METADATA, b"{}"))
        columns = tuple(Column(**each) for each in given.get("columns", []))
        if columns != file.columns or not reader.schema_arrow.equals(_schema(file.columns)):
            raise WarehouseError(
                f"{file.file} has the columns {_told(reader.schema_arrow)}; expected are"
                f" {_told(_schema(file.columns))}. Its rows cannot be relied on."
            )
        for batch in reader.iter_batches(batch_size=BATCH_ROWS):
            count += batch.num_rows
            total += sum(hashes_of(batch, file.columns))
    if (count, str(total)) != (file.row_count, file.checksum):
        raise WarehouseError(
            f"{file.file} has {count} rows with the checksum {total}; expected are"
            f" {file.row_count} rows with the checksum {file.checksum}. Its rows cannot be relied"
            " on."
        )


def rows_of(file: ArchivedFile) -> Iterator[pa.RecordBatch]:
    """The rows of a file, in batches."""
    with store.opened(file.file) as stream, _reader(stream) as reader:
        yield from reader.iter_batches(batch_size=BATCH_ROWS)


def write_manifest(
    session: psycopg.Connection[Any],
    observability: str,
    model: str,
    folder: str,
    instead: Sequence[ArchivedFile] = (),
) -> None:
    """Write the manifest of a folder: the files of a model as the catalogue has them.

    Args:
        session: a connection.
        observability: the schema of the catalogue.
        model: the model.
        folder: the folder of its files.
        instead: files that are complete and not yet in the catalogue's `file`; they replace those
            of the same `file_id`.

    Raises:
        WarehouseError: the manifest lists files that the catalogue does not know, so another
            database writes into the same folder, or this one was restored from an older backup.
    """
    from psycopg import sql

    location = store.join(folder, MANIFEST)
    known = session.execute(
        sql.SQL(
            "select unnest(array[file, file_being_written, file_to_delete]) from {}"
            " where model_name = %s"
        ).format(_catalogue(observability)),
        [model],
    ).fetchall()
    files = {each.file_id: each for each in archived_files(session, observability, model)}
    if not session.autocommit:
        session.commit()
    there = json.loads(store.read(location) or b'{"files": []}')
    names = {store.join(folder, each["file"]) for each in there["files"]}
    if strange := sorted(names - {name for (name,) in known}):
        raise WarehouseError(
            f"{location} lists files that {observability}.archived_files does not know, such as"
            f" {strange[0]}: another database archives into the same folder, or this one was"
            " restored from an older backup. Give each database an archive_store of its own, or"
            " move the folder away."
        )
    files.update({each.file_id: each for each in instead})
    listed = [each for each in files.values() if store.folder_of(each.file) == folder]
    text = json.dumps(
        {"model": model, "files": [_described(each) for each in listed]}, indent=2, default=str
    )
    store.write(location, text.encode())


def _described(file: ArchivedFile) -> dict[str, Any]:
    described = dataclasses.asdict(file)
    return {**described, "file": file.file.rpartition("/")[2]}


@dataclasses.dataclass(frozen=True)
class _Batch:
    """Rows, the sum of the hashes that PostgreSQL computed for them, and their size as text."""

    rows: pa.RecordBatch
    checksum: int
    size: int


def _batches(
    session: psycopg.Connection[Any], part: Part, columns: tuple[Column, ...]
) -> Iterator[_Batch]:
    import pyarrow as pa
    from psycopg import sql

    query = sql.SQL("copy (select {}, {} from {} where {}) to stdout").format(
        sql.SQL(", ").join(column.text() for column in columns),
        hash_of_row(columns),
        sql.SQL(part.relation),
        part.where or sql.SQL("true"),
    )
    schema = _schema(columns)

    def batch() -> _Batch:
        *texts, hashes = zip(*rows, strict=True)
        arrays = [
            column.from_texts(list(each)) for column, each in zip(columns, texts, strict=True)
        ]
        return _Batch(
            pa.RecordBatch.from_arrays(arrays, schema=schema), sum(map(int, hashes)), size
        )

    with session.cursor() as cursor, cursor.copy(query) as copy:
        rows: list[tuple[Any, ...]] = []
        size = 0
        for row in copy.rows():
            rows.append(row)
            size += sum(len(text) for text in row if text is not None)
            if len(rows) == BATCH_ROWS or size >= BATCH_BYTES:
                yield batch()
                rows, size = [], 0
        if rows:
            yield batch()


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field(each.name, each.arrow_type()) for each in columns])


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


@contextlib.contextmanager
def _writer(path: Any, file: ArchivedFile) -> Iterator[Any]:
    import pyarrow.parquet as pq

    described = {**_described(file), "row_count": None, "checksum": None}
    schema = _schema(file.columns).with_metadata({_METADATA: json.dumps(described).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield writer


@contextlib.contextmanager
def _reader(stream: Any) -> Iterator[Any]:
    """A reader of Parquet; a damaged file is explained in a sentence."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(stream, pre_buffer=False) as reader:
            yield reader
    except (pa.ArrowException, OSError) as error:
        name = getattr(stream, "name", None) or getattr(stream, "full_name", "the file")
        raise WarehouseError(f"{name} could not be read: {' '.join(str(error).split())}") from error


def _note(
    notes: psycopg.Connection[Any], part: Part, name: str, columns: tuple[Column, ...]
) -> ArchivedFile:
    """Note a file that is about to be written."""
    from psycopg import sql

    policy = part.policy
    row = notes.execute(
        sql.SQL(
            "insert into {} (model_name, lower_bound, upper_bound, file_being_written, retention)"
            " values (%s, %s, %s, %s, %s) returning file_id, archived_by"
        ).format(_catalogue(policy.observability)),
        [policy.model, part.lower, part.upper, name, policy.retention],
    ).fetchone()
    assert row is not None
    return ArchivedFile(
        row[0], policy.model, part.lower, part.upper, name, 0, "0", columns, policy.retention,
        archived_by=row[1],
    )  # fmt: skip


def _complete(
    notes: psycopg.Connection[Any], observability: str, file: ArchivedFile
) -> ArchivedFile:
    """Note what a verified file holds."""
    from psycopg import sql
    from psycopg.types.json import Jsonb

    notes.execute(
        sql.SQL(
            "update {} set row_count = %s, byte_count = %s, checksum = %s, columns = %s"
            " where file_id = %s"
        ).format(_catalogue(observability)),
        [
            file.row_count,
            store.size(file.file),
            file.checksum,
            Jsonb([dataclasses.asdict(column) for column in file.columns]),
            file.file_id,
        ],
    )
    return file


def _catalogue(observability: str) -> Any:
    return identifier(f'"{observability}"."archived_files"')
