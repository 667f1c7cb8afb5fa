"""What the inputs gave, put together: each recording once, named, dated and in one order."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.printable import printable
from listen_edge.runtime.archive.listing.found import KEY
from listen_edge.runtime.archive.listing.found import SCHEMA as FOUND
from listen_edge.runtime.archive.listing.recorded_at import (
    BY_DEFAULT,
    NO_ZONE,
    UNCLEAR,
    times_in_names,
)
from listen_edge.runtime.archive.listing.storage import without_query
from listen_edge.runtime.archive.rows import LISTED, TIME

SAID_AT, DOUBT = "said_at\n", "doubt\n"  # columns of what a manifest says: no name of its own
_BATCH = 1 << 16  # rows


def unite(tables: list[pa.Table], timezone: str | None) -> tuple[pa.Table, list[str]]:
    """Return one table of the inputs' recordings, and lines about what is not known.

    Args:
        tables: found.SCHEMA, those of manifests with SAID_AT, DOUBT and columns of their own.
        timezone: IANA name of the zone of clocks that do not say theirs; None: unknown.

    Raises:
        ListenEdgeError: two manifests have a column of one name and different types.
    """
    tables = sorted(tables, key=lambda table: table.column_names == FOUND.names)
    n_said = sum(len(table) for table in tables if table.column_names != FOUND.names)
    table = _concatenated(tables)
    n_named = len(table)
    table = _each_once(table, n_said)
    notes = []
    if n_named > len(table):
        notes.append(f"{n_named - len(table)} recordings were named again and are listed once")
    names = [_names(batch.column(0)) for batch in table.select(["path"]).to_batches(_BATCH)]
    instants, doubts = _times(table, [dated for _, dated in names], timezone)
    notes += _about(doubts, len(table), timezone)
    columns = {
        "path": _from_root(table),
        "recording": pa.chunked_array([shown for shown, _ in names], pa.string()),
        "n_bytes": table["n_bytes"],
        "modified": table["modified"],
        "recorded_at": instants,
    }
    own = [name for name in table.column_names if name not in (*columns, KEY, SAID_AT, DOUBT)]
    schema = pa.schema([*LISTED, *(table.schema.field(name) for name in own)])
    whole = pa.table([*columns.values(), *(table[name] for name in own)], schema=schema)
    return whole.take(_order(whole)), notes


def _from_root(table: pa.Table) -> pa.ChunkedArray:
    """Return the paths as every worker and a later command finds them, wherever it is started."""
    path, root = table["path"], b"/"
    is_relative = pc.and_not(pc.starts_with(table[KEY], root), pc.starts_with(path, root))
    here = pa.scalar(os.getcwdb().rstrip(root) + root)
    return pc.if_else(is_relative, pc.binary_join_element_wise(here, path, b""), path)


def _concatenated(tables: list[pa.Table]) -> pa.Table:
    """Return tables one below the other; numbers are text where another manifest has text."""
    kinds: dict[str, set[pa.DataType]] = {}
    for field in (field for table in tables for field in table.schema):
        kinds.setdefault(field.name, set()).add(field.type)
    texts = {name for name, types in kinds.items() if len(types) > 1 and pa.string() in types}
    try:
        return pa.concat_tables(
            [_with_texts(table, texts) for table in tables], promote_options="permissive"
        )
    except pa.ArrowException as err:
        raise ListenEdgeError(
            f"the manifests have a column of two types ({one_line(err)}); give it one type, or "
            "scan them one by one"
        ) from err


def _with_texts(table: pa.Table, names: set[str]) -> pa.Table:
    for k, name in enumerate(table.column_names):
        if name in names:
            table = table.set_column(k, name, table[name].cast(pa.string()))
    return table


def _each_once(table: pa.Table, n_said: int) -> pa.Table:
    """Return each recording once: as a manifest has it, else by the path that sorts first.

    Args:
        table: the first n_said rows are those of manifests; of two for one path the first counts.
        n_said: rows.
    """
    if pc.count_distinct(table[KEY]).as_py() == len(table):
        return table
    rows = np.arange(len(table))
    order = pc.sort_indices(
        pa.table({"path": table["path"], "is_other": rows >= n_said, "row": rows}),
        sort_keys=[("is_other", "ascending"), ("path", "ascending"), ("row", "ascending")],
    )
    ranked = pa.table({"key": table[KEY].take(order), "rank": rows})
    first = ranked.group_by("key").aggregate([("rank", "min")])["rank_min"]
    return table.take(order.take(first))


def _names(paths: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return what is shown of paths, and the texts that may hold their dates."""
    try:
        texts = paths.cast(pa.string())
    except pa.ArrowInvalid:  # bytes that are no UTF-8, which are shown as they are
        texts = pa.array([path.decode(errors="replace") for path in paths.to_pylist()])
    is_plain = pc.and_not(
        pc.utf8_is_printable(texts),
        pc.match_substring_regex(texts, ":/|\ufffd"),
    )
    odd = pc.invert(is_plain)
    if not pc.any(odd).as_py():
        return texts, texts
    named = [os.fsdecode(path) for path in paths.filter(odd).to_pylist()]
    shown = pc.replace_with_mask(texts, odd, pa.array(map(printable, named), pa.string()))
    dated = pc.replace_with_mask(texts, odd, pa.array(map(_dated, named), pa.string()))
    return shown, dated


def _dated(name: str) -> str:
    """Return a path without a URL's query, in which a signature has its own date."""
    return without_query(name).encode(errors="replace").decode()


def _times(
    table: pa.Table, texts: list[pa.Array], timezone: str | None
) -> tuple[pa.Array, NDArray[np.int8]]:
    """Return when recordings began: what a manifest says, else what their names say."""
    found = [times_in_names(text, timezone) for text in texts]
    instants = pa.chunked_array([times.instants for times in found], TIME).combine_chunks()
    doubts = np.concatenate([np.zeros(0, np.int8), *(times.doubts.to_numpy() for times in found)])
    if SAID_AT not in table.column_names:
        return instants, doubts
    said = table[SAID_AT].combine_chunks()
    is_said = said.is_valid()
    said_doubts = table[DOUBT].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
    is_open = instants.is_null().to_numpy(zero_copy_only=False) & (doubts == 0)
    doubts = np.where(is_open, said_doubts, doubts)
    doubts[is_said.to_numpy(zero_copy_only=False)] = 0
    return pc.if_else(is_said, said, instants), doubts


def _about(doubts: NDArray[np.int8], n: int, timezone: str | None) -> list[str]:
    """Return lines about times that are not known, or taken as what they most likely are."""
    counts = np.bincount(doubts, minlength=4)
    notes = []
    if counts[NO_ZONE]:
        notes.append(
            f"{counts[NO_ZONE]} of {n} recordings have a time without its zone and count as of no "
            "known time; say the zone of their clocks, such as --timezone Europe/Berlin"
        )
    if counts[UNCLEAR]:
        notes.append(
            f"{counts[UNCLEAR]} of {n} recordings have a time that clocks in {timezone} show twice "
            "or never and count as of no known time; for recorders without summer time say a zone "
            "without it, such as --timezone Etc/GMT-1"
        )
    if counts[BY_DEFAULT]:
        notes.append(
            f"{counts[BY_DEFAULT]} of {n} recordings are named as an AudioMoth names them, and "
            "their times are taken as UTC, its default; if it was set otherwise, say --timezone"
        )
    return notes


def _order(table: pa.Table) -> pa.Array:
    """Return the rows by month and path; what is of no known time comes last."""
    times = table["recorded_at"].combine_chunks().cast(pa.timestamp("us"))
    months = times.to_numpy(zero_copy_only=False).astype("M8[us]").astype("M8[M]")
    numbers = np.where(np.isnat(months), np.iinfo(np.int64).max, months.astype(np.int64))
    return pc.sort_indices(
        pa.table({"month": numbers, "path": table["path"]}),
        sort_keys=[("month", "ascending"), ("path", "ascending")],
    )
