"""The folder of a scan: what was asked, of which recordings, and which pieces are done.

A scan is described by everything that changes its rows. The same description goes on where it
stopped, another one is refused. A piece's rows are written first and its recordings last, each
whole or not at all: a piece is done when its recordings are there, and doing one again writes the
same two files.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.printable import printable
from listen_edge.replacing import replacing
from listen_edge.runtime.archive.description import DESCRIPTION, SCHEMA, Unit, read_description
from listen_edge.runtime.archive.rows import (
    LISTED,
    answers_schema,
    carried_of,
    events_schema,
    recordings_schema,
)

LISTING, PLAN, FAILED = "listing.parquet", "plan.parquet", "failed.parquet"
RECORDINGS, SPANS = "recordings", "spans"
_OURS = frozenset(
    (DESCRIPTION, LISTING, PLAN, FAILED, RECORDINGS, SPANS, "answers", "events", "review")
)
_ROW_GROUP = 10_000  # rows that are read together
_PART = re.compile(r"part-([0-9]{6,})\.parquet")


class Job:
    """A scan's folder.

    Args:
        folder: holds a description.

    Attributes:
        described: the description.

    Raises:
        ListenEdgeError: no scan there, one of a later version, or a damaged description.
    """

    def __init__(self, folder: Path) -> None:
        _refuse_name(folder)
        self.folder = folder
        self.described = read_description(folder)

    @property
    def unit(self) -> Unit:
        """What a row is of: a window and question, or an event."""
        unit: Unit = self.described["unit"]
        return unit

    def listing(self) -> pa.Table:
        """Return all that was listed, see rows.LISTED; ListenEdgeError if it is damaged."""
        with self.reading(LISTING):
            return pq.read_table(self.folder / LISTING)

    def listed(self, first: int, last: int) -> pa.Table:
        """Return rows first to last (not included) of the listing; the others are not read."""
        with self.reading(LISTING), pq.ParquetFile(self.folder / LISTING) as file:
            groups = range(first // _ROW_GROUP, (last - 1) // _ROW_GROUP + 1)
            if groups.stop > file.num_row_groups:
                raise pa.ArrowInvalid("it has fewer rows than the plan")
            return file.read_row_groups([*groups]).slice(first % _ROW_GROUP, last - first)

    @property
    def carried(self) -> list[pa.Field]:
        """A manifest's own columns, which every row of its recordings has."""
        with self.reading(LISTING):
            return carried_of(pq.read_schema(self.folder / LISTING))

    def rows(self) -> ds.Dataset:
        """Return the rows written so far, for any reader of parquet."""
        return self._dataset(self.unit)

    def recordings(self) -> ds.Dataset:
        """Return what became of each recording that is done."""
        return self._dataset(RECORDINGS)

    def schema(self, name: str) -> pa.Schema:
        """Return the columns of the listing, of the recordings or of the rows."""
        if name == LISTING:
            return pa.schema([*LISTED, *self.carried])
        of = {RECORDINGS: recordings_schema, "answers": answers_schema, "events": events_schema}
        return of[name](self.carried)

    def parts(self, name: str) -> list[Path]:
        """Return the parts of a table that are written so far, in order."""
        return sorted((self.folder / name).glob("month=*/part-*.parquet"))

    def _dataset(self, name: str) -> ds.Dataset:
        schema = self.schema(name)
        (self.folder / name).mkdir(exist_ok=True)
        month = pa.field("month", pa.string())
        hive = ds.partitioning(pa.schema([month]), flavor="hive")
        return ds.dataset(
            self.folder / name, schema.append(month), format="parquet", partitioning=hive
        )

    def done(self) -> set[int]:
        """Return the pieces whose rows are written."""
        found = (_PART.fullmatch(path.name) for path in self.parts(RECORDINGS))
        return {int(match[1]) for match in found if match}

    def write_piece(self, number: int, month: str, rows: pa.Table, recordings: pa.Table) -> None:
        """Write a piece's rows, then its recordings, each whole or not at all."""
        self.write(self.part(self.unit, month, number), rows)
        self.write(self.part(RECORDINGS, month, number), recordings)

    def part(self, table: str, month: str, number: int) -> Path:
        """Return where a piece's part of a table lies."""
        return self.folder / table / f"month={month}" / f"part-{number:06d}.parquet"

    def write(self, path: Path, table: pa.Table) -> None:
        """Write a file of the job whole or not at all; ListenEdgeError if that cannot be."""
        with self.writing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=1 << 17)

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        """Yield a path to write to, which takes the place of `path` at the end."""
        with _writing(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                yield temporary
                _flush(temporary)

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Name the job's file in what fails while it is read."""
        try:
            yield
        except (OSError, ValueError, pa.ArrowException) as err:
            raise ListenEdgeError(
                f"{printable(self.folder)}: {name} cannot be read ({one_line(err)}); scan into "
                "another --out"
            ) from err

    def write_failed(self) -> int:
        """Write the table of the recordings that were not wholly heard; return their number."""
        schema = recordings_schema(self.carried)
        wanted = ds.field("status") != "heard"
        with self.reading(RECORDINGS):
            found = self.recordings().scanner(columns=schema.names, filter=wanted).to_table()
            table = found.cast(schema).sort_by("path")
        self.write(self.folder / FAILED, table)
        return len(table)


@contextmanager
def begin(folder: Path, described: Mapping[str, Any], listing: pa.Table) -> Iterator[Job]:
    """Yield a scan's job, new or gone on with; nobody else writes to it meanwhile.

    Args:
        folder: made, empty, or of the same scan.
        described: everything that changes the rows but the listing, in JSON's types.
        listing: see rows.LISTED.

    Raises:
        ListenEdgeError: its name is not UTF-8, it holds another scan or other files, is written to
            by another process, or cannot be written to.
    """
    _refuse_name(folder)
    full = {"schema": SCHEMA, **described, "listing": _describe(listing)}
    with ExitStack() as stack:
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / DESCRIPTION).exists():
                _refuse_strangers(folder)
            stack.enter_context(_alone(folder))
            if not (folder / DESCRIPTION).exists():
                _write_new(folder, full, listing)
        job = Job(folder)
        _refuse_other(job, full)
        yield job


def _write_new(folder: Path, described: Mapping[str, Any], listing: pa.Table) -> None:
    with replacing(folder / LISTING) as temporary:
        pq.write_table(listing, temporary, compression="zstd", row_group_size=_ROW_GROUP)
        _flush(temporary)
    with replacing(folder / DESCRIPTION) as temporary:
        text = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")
        _flush(temporary)


def _describe(listing: pa.Table) -> dict[str, Any]:
    """Return the number of recordings and a hash of all that the listing says of them."""
    table = listing.replace_schema_metadata(None).combine_chunks()
    digest = hashlib.sha256(str(table.schema).encode())
    for batch in table.to_batches(max_chunksize=1 << 16):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        digest.update(sink.getvalue())
    return {"recordings": listing.num_rows, "sha256": digest.hexdigest()}


def _refuse_other(job: Job, described: Mapping[str, Any]) -> None:
    held = job.described
    wanted = json.loads(json.dumps(described))
    unlike = [key for key in {**held, **wanted} if held.get(key) != wanted.get(key)]
    if unlike:
        raise ListenEdgeError(
            f"--out {printable(job.folder)}: holds another scan (its {', '.join(unlike)} differ, "
            f"see {DESCRIPTION}); give another --out, or the same options to go on with it"
        )


def _refuse_name(folder: Path) -> None:
    """Refuse a folder that Arrow cannot write to, nor most readers of its tables read from."""
    try:
        str(folder.resolve()).encode()
    except UnicodeEncodeError as err:
        raise ListenEdgeError(
            f"{printable(folder.resolve())}: the name is not UTF-8; rename the folder, or give "
            "another --out"
        ) from err


def _refuse_strangers(folder: Path) -> None:
    others = [p.name for p in folder.iterdir() if p.name not in _OURS and p.name[0] != "."]
    if others:
        raise ListenEdgeError(
            f"--out {printable(folder)}: holds files that are no scan's ({printable(others[0])}); "
            "give an empty folder or a new one"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the job's lock, which ends with the process."""
    with (folder / ".lock").open("a") as file:  # whatever it links to is left as it is
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise ListenEdgeError(
                f"--out {printable(folder)}: another scan is writing there; wait for it or stop it"
            ) from err
        yield


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as err:
        raise ListenEdgeError(
            f"--out {printable(folder)}: cannot be written ({one_line(err)}); what is in it is "
            "kept, the same command goes on"
        ) from err


def _flush(path: Path) -> None:
    """Make sure that a file is on the disk before it gets its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
