"""A scan's folder that comes from elsewhere: what no scan wrote is one line, whatever it is."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.archive import run as running
from listen_edge.runtime.archive.job import LISTING, PLAN, RECORDINGS, SPANS, Job
from listen_edge.runtime.archive.parts import read_rows
from listen_edge.runtime.archive.review.mining import mine_scan
from listen_edge.runtime.archive.review.report.write import write_report
from listen_edge.runtime.archive.review.sample import draw_sample
from listen_edge.runtime.measure.mining_config import MiningConfig
from tests.archives import scan, write_level
from tests.scan_jobs import Scanned, write_job

BEGIN = datetime(2026, 1, 2, tzinfo=timezone.utc)
UNITS = ("answers", "events")
UNREAD = frozenset(("n_bytes", "modified", "bundle", "calibrated", "head_logit", "prior_margin"))


@pytest.fixture(params=UNITS)
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Job:
    """Return a scan of two recordings, one of them heard in part."""
    one = Scanned(tmp_path / "in/a.wav", {"siren?": [0.99, 0.1, "inaudible"]}, recorded_at=BEGIN)
    two = Scanned(tmp_path / "in/b.wav", {"siren?": [0.95]}, recorded_at=BEGIN, error="cut")
    for scanned in (one, two):
        scanned.write()
    carried = [pa.field("site", pa.string())]
    return write_job(tmp_path / "scan", [one, two], unit=request.param, carried=carried)


def _look(folder: Path, scratch: Path) -> int:
    """Return how many of the commands that read a scan refuse this one in a line."""
    mined = scratch / "mined"
    shutil.rmtree(mined, ignore_errors=True)
    shutil.rmtree(folder / "review", ignore_errors=True)
    commands: tuple[Callable[[], Any], ...] = (
        lambda: write_report(folder, scratch / "report.html", timezone="UTC", by=None),
        lambda: draw_sample(folder, 4),
        lambda: list(mine_scan(folder, mined, MiningConfig(least=0.01))),
    )
    n_refused = 0
    for command in commands:
        try:
            command()
        except ListenEdgeError as err:
            n_refused += 1
            assert str(err) and "\n" not in str(err)
    return n_refused


def _altered(table: pa.Table, unread: frozenset[str]) -> Iterator[pa.Table]:
    n_rows, most = len(table), (1 << 63) - 1
    for k, name in enumerate(table.column_names):
        if name in unread:
            continue
        kind = table.schema.field(name).type
        others = [
            pa.nulls(n_rows, kind),
            pa.array(["../../x"] * n_rows).dictionary_encode(),
        ]
        if pa.types.is_floating(kind):
            numbers = (np.nan, np.inf, -1.0, 1e30)
            others += [pa.array(np.full(n_rows, number), kind) for number in numbers]
        if pa.types.is_int64(kind) or pa.types.is_timestamp(kind):
            others += [pa.array([number] * n_rows).cast(kind) for number in (most, -most)]
        yield table.drop_columns([name])
        yield from (table.set_column(k, name, other) for other in others)


def test_tables_with_other_columns_or_impossible_values_are_refused(
    job: Job, tmp_path: Path
) -> None:
    listing = job.folder / LISTING
    for path in (listing, job.parts(RECORDINGS)[0], job.parts(job.unit)[0]):
        whole = path.read_bytes()
        n_refused = 0
        for table in _altered(pq.ParquetFile(path).read(), UNREAD):
            pq.write_table(table, path)
            n_refused += _look(job.folder, tmp_path)
        assert n_refused > (0 if path == listing else 20)
        path.write_bytes(whole)
    n_events_have_none = int(job.unit == "events")
    assert _look(job.folder, tmp_path) == n_events_have_none


def test_damaged_tables_are_refused(job: Job, tmp_path: Path) -> None:
    rng = random.Random(0)
    for path in (job.parts(RECORDINGS)[0], job.parts(job.unit)[0], job.folder / LISTING):
        whole = path.read_bytes()
        damaged = [b"", whole[: len(whole) // 2], b"PAR1" + rng.randbytes(200) + b"PAR1"]
        for _ in range(12):
            copy = bytearray(whole)
            for _ in range(rng.choice((1, 3, 20))):
                copy[rng.randrange(len(copy))] = rng.randrange(256)
            damaged.append(bytes(copy))
        for data in damaged:
            path.write_bytes(data)
            _look(job.folder, tmp_path)
        path.write_bytes(whole)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from _places(inner, (*place, key))
        else:
            yield (*place, key)


OTHERS = (None, -1, 10**18, 1e300, "../x", [], {}, [1], True)


@pytest.mark.parametrize("unit", UNITS)
def test_descriptions_of_another_kind_are_refused(unit: Any, tmp_path: Path) -> None:
    job = write_job(
        tmp_path / "scan", [Scanned("a.wav", {"siren?": [0.9], "dog?": [0]})], unit=unit
    )
    path = job.folder / "scan.json"
    for place in _places(job.described):
        for other in (*OTHERS, "gone"):
            described = deepcopy(job.described)
            of = described
            for key in place[:-1]:
                of = of[key]
            if other == "gone":
                del of[place[-1]]
            else:
                of[place[-1]] = other
            path.write_text(json.dumps(described))
            try:
                Job(job.folder)
            except ListenEdgeError:
                continue
            _look(job.folder, tmp_path)


def test_a_text_that_stands_in_each_row_is_not_multiplied(tmp_path: Path) -> None:
    job = write_job(tmp_path, [Scanned("a.wav", {"siren?": [0.9]})])
    path = job.parts(RECORDINGS)[0]
    table = pq.ParquetFile(path).read()
    table = table.take(pa.array(np.zeros(1 << 16, np.int64)))
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1 << 16, np.int32)), ["x" * (1 << 14)])
    place = table.column_names.index("error")
    pq.write_table(table.set_column(place, "error", texts), path)
    assert path.stat().st_size < 1 << 17  # of 1 GiB
    with pytest.raises(
        ListenEdgeError, match=r"recordings cannot be read .its column error is larg"
    ):
        list(read_rows(job, RECORDINGS, ["error"]))
    assert len(list(read_rows(job, RECORDINGS, ["error"], texts=["error"]))) == 1


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("month", ["../../../away"]),
        ("month", [None]),
        ("month", [7]),
        ("first", [-1]),
        ("last", [1 << 40]),
        ("last", [0]),
        ("piece", [-1]),
        ("piece", ["x"]),
        ("span", [[1]]),
        ("n_bytes", [None]),
    ],
)
def test_a_plan_that_no_scan_made_is_refused(
    column: str, values: list[Any], archive: Path, tmp_path: Path
) -> None:
    scan(tmp_path / "out", [archive])
    shutil.rmtree(tmp_path / "out" / "recordings")
    path = tmp_path / "out" / PLAN
    plan = pq.read_table(path)
    place = plan.column_names.index(column)
    pq.write_table(plan.set_column(place, column, pa.array(values * len(plan))), path)
    with pytest.raises(ListenEdgeError, match=r"plan.parquet cannot be read"):
        scan(tmp_path / "out", [archive])
    pq.write_table(plan.drop_columns([column]), path)
    with pytest.raises(ListenEdgeError, match=r"plan.parquet cannot be read"):
        scan(tmp_path / "out", [archive])


def test_damaged_parts_are_one_line_when_a_scan_goes_on(
    archive: Path, tmp_path: Path, short_spans: None
) -> None:
    def dies(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    for damage in (b"", b"PAR1junkPAR1", None):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(running, "join", dies)
            scan(tmp_path / "out", [write_level(tmp_path / "long.wav", [0.9] * 40)])
        span = min((tmp_path / "out" / SPANS).iterdir())
        if damage is None:
            pq.write_table(pa.table({"error": [""]}), span)
        else:
            span.write_bytes(damage)
        with pytest.raises(ListenEdgeError, match="spans cannot be read"):
            scan(tmp_path / "out", [tmp_path / "long.wav"])
    job, _ = scan(tmp_path / "other", [archive])
    job.parts(RECORDINGS)[0].write_bytes(b"PAR1junkPAR1")
    with pytest.raises(ListenEdgeError, match="recordings cannot be read"):
        scan(tmp_path / "other", [archive])
