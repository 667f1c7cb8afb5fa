"""Inputs of a scan -> one table of recordings: nothing lost, nothing twice, one order."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.runtime.archive.listing.folders import matches, split_pattern
from listen_edge.runtime.archive.listing.inputs import (
    Listing,
    ListingOptions,
    list_recordings,
)


@pytest.fixture()
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sites with a recording of one name each, and what is no recording."""
    monkeypatch.chdir(tmp_path)
    for path in ("a/x.wav", "a/deep/y.FLAC", "b/x.wav", "b/notes.md"):
        _file(tmp_path / path, len(path))
    return tmp_path


def _file(path: Path, n_bytes: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(n_bytes))
    return path


def _list(*inputs: str | Path, **options: Any) -> Listing:
    """Return a listing with its paths from this folder, for short."""
    listing = list_recordings(inputs, ListingOptions(**options))
    here, place = os.fsencode(f"{Path.cwd()}/"), listing.table.column_names.index("path")
    paths = [path.removeprefix(here) for path in listing.table["path"].to_pylist()]
    field = listing.table.schema.field("path")
    table = listing.table.set_column(place, field, pa.array(paths, pa.binary()))
    return replace(listing, table=table)


def _paths(*inputs: str | Path, **options: Any) -> list[str]:
    return [os.fsdecode(path) for path in _list(*inputs, **options).table["path"].to_pylist()]


def test_a_folder_gives_its_recordings_in_order_and_names_the_rest(archive: Path) -> None:
    listing = _list(".")
    assert listing.table["path"].to_pylist() == [b"./a/deep/y.FLAC", b"./a/x.wav", b"./b/x.wav"]
    assert listing.table["n_bytes"].to_pylist() == [len("a/deep/y.FLAC"), 7, 7]
    assert listing.notes == ("1 files are no recordings and are left out: notes.md",)


def test_a_path_is_found_from_every_folder(archive: Path) -> None:
    for given in ("a", "./a", archive / "a"):
        table = list_recordings([given], ListingOptions()).table
        for path, shown in zip(
            table["path"].to_pylist(), table["recording"].to_pylist(), strict=True
        ):
            assert path.startswith(b"/") and Path(os.fsdecode(path)).is_file()
            assert shown.startswith(os.fspath(given))


def test_links_are_followed_once(archive: Path) -> None:
    (archive / "a/loop").symlink_to(archive)
    (archive / "b/other").symlink_to(archive / "a")
    (archive / "a/self.wav").symlink_to("self.wav")
    assert _paths("a") == ["a/deep/y.FLAC", "a/loop/b/x.wav", "a/self.wav", "a/x.wav"]
    assert _paths("b") == ["b/other/deep/y.FLAC", "b/other/self.wav", "b/other/x.wav", "b/x.wav"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*/x.wav", ["a/x.wav", "b/x.wav"]),
        ("**/*.FLAC", ["a/deep/y.FLAC"]),
        ("[ab]", ["a/deep/y.FLAC", "a/x.wav", "b/x.wav"]),
        ("b/**", ["b/x.wav"]),
        ("./?/x*", ["./a/x.wav", "./b/x.wav"]),
    ],
)
def test_a_pattern_that_no_shell_expanded(archive: Path, pattern: str, expected: list[str]) -> None:
    assert _paths(pattern) == expected
    absolute = _paths(f"{archive}/{pattern}")
    assert [os.path.relpath(path, archive) for path in absolute] == [
        os.path.normpath(path) for path in expected
    ]


def test_a_pattern_ends_at_a_file_or_a_folder_above_it() -> None:
    assert split_pattern("/2024-*/a") == ("/", ["2024-*", "a"])
    assert matches(["a", "b", "c.wav"], ["**", "**", "c.wav"])
    assert not matches(["a", "b.wav"], ["*.wav"])


def test_the_folder_of_a_scan_is_no_part_of_the_archive(archive: Path) -> None:
    for name in ("scan.json", "listing.parquet", "review/clips/z.flac"):
        _file(archive / "a/job" / name)
    assert _paths("a") == ["a/deep/y.FLAC", "a/x.wav"]
    assert _list("a").notes == ()
    assert _paths("a/job/review") == ["a/job/review/clips/z.flac"]
    with pytest.raises(AudioError, match="no INPUT"):
        _list()


def test_a_folder_that_cannot_be_read_ends_the_listing(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: bytes) -> Any:
        if os.fsdecode(path).endswith(("deep", "b")):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(AudioError, match=r"^\./a/deep: permission denied; 2 folders of \. cannot"):
        _list(".")


def test_a_recording_is_listed_once_however_it_is_named(archive: Path) -> None:
    (archive / "b/link.wav").symlink_to("../a/x.wav")
    (archive / "all.txt").write_text("a/x.wav\nb/../a/x.wav\n\nb/link.wav\r\n")
    listing = _list("all.txt", "a/x.wav", str(archive / "a"), "b")
    assert [os.fsdecode(path) for path in listing.table["path"].to_pylist()] == [
        "a/deep/y.FLAC",
        "a/x.wav",
        "b/x.wav",
    ]
    assert "5 recordings were named again and are listed once" in listing.notes
    assert _list("b", str(archive / "a"), "all.txt", "a/x.wav").table.equals(listing.table)


def test_a_list_holds_any_bytes_and_starts_from_its_folder(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [b"#1.wav", b"new\x1b[31m.wav", b"b\xe4r_20240501T130000Z.wav", b"no suffix"]
    for name in names:
        _file(archive / "a" / os.fsdecode(name))
    (archive / "a/all.lst").write_bytes(b"\xef\xbb\xbf" + b"\n".join(names))
    listing = _list("a/all.lst").table.sort_by("path").to_pydict()
    assert listing["path"] == sorted(b"a/" + name for name in names)
    assert listing["recording"] == [
        "a/#1.wav",
        "a/b\\xe4r_20240501T130000Z.wav",
        "a/new\\x1b[31m.wav",
        "a/no suffix",
    ]
    assert listing["recorded_at"][1] == datetime(2024, 5, 1, 13, tzinfo=timezone.utc)
    monkeypatch.chdir(archive / "a")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(names))))
    assert _list("-").table["path"].to_pylist() == [names[2], *sorted(names[:2]), names[3]]


def test_what_a_list_names_and_is_not_there_is_a_row_and_a_note(archive: Path) -> None:
    (archive / "some.txt").write_text("a/x.wav\ngone.wav\n")
    listing = _list("some.txt")
    assert listing.table.select(["path", "n_bytes"]).to_pylist() == [
        {"path": b"a/x.wav", "n_bytes": 7},
        {"path": b"gone.wav", "n_bytes": None},
    ]
    assert listing.notes == (
        "some.txt: 1 of 2 recordings are not there and will count as unheard, "
        "the first is gone.wav",
    )


def test_the_order_is_by_month_and_path(archive: Path) -> None:
    for name in ("z_20240401T000000Z", "a_20240501T000000Z", "b_20240402T000000Z", "none"):
        _file(archive / f"c/{name}.wav")
    assert _paths("c") == [
        "c/b_20240402T000000Z.wav",
        "c/z_20240401T000000Z.wav",
        "c/a_20240501T000000Z.wav",
        "c/none.wav",
    ]


def _manifest(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_manifest_carries_its_columns_through(archive: Path) -> None:
    _manifest(
        archive / "a/m.csv",
        "key,path,device,lat,start_time\n"
        "north,x.wav,007,52.50,2024-05-01 13:00:00\n"
        '"a, b",deep/y.FLAC,008,-1e-3,2024-05-01T13:00:00+02:00\n',
    )
    listing = _list("a/m.csv", "b", timezone="Europe/Berlin")
    assert listing.carried == ("key", "device", "lat", "start_time")
    rows = listing.table.drop_columns(["recording", "n_bytes", "modified"]).to_pylist()
    moment = datetime(2024, 5, 1, 11, tzinfo=timezone.utc)
    assert rows == [
        dict(zip(("path", "recorded_at", "key", "device", "lat", "start_time"), row, strict=True))
        for row in (
            (b"a/deep/y.FLAC", moment, "a, b", "008", -0.001, "2024-05-01T13:00:00+02:00"),
            (b"a/x.wav", moment, "north", "007", 52.5, "2024-05-01 13:00:00"),
            (b"b/x.wav", None, None, None, None, None),
        )
    ]


def test_manifests_in_parquet_and_tsv_with_their_own_names(archive: Path) -> None:
    table = pa.table(
        {
            "file": pa.array(["a/x.wav", "b/x.wav"]).dictionary_encode(),
            "begin": pa.array([1714568400.25, None]),
            "n": pa.array([1, 2], pa.int16()),
            "recorded_at": pa.array(["never", ""]),
        }
    )
    pq.write_table(table.drop_columns(["recorded_at"]), archive / "m.parquet")
    listing = _list("m.parquet", path_column="file", time_column="begin")
    assert listing.table.select(["recorded_at", "n"]).to_pylist() == [
        {"recorded_at": datetime(2024, 5, 1, 13, 0, 0, 250000, timezone.utc), "n": 1},
        {"recorded_at": None, "n": 2},
    ]
    assert listing.table.schema.field("n").type == pa.int16()
    pq.write_table(table, archive / "m.parquet")
    with pytest.raises(ListenEdgeError, match="recorded_at would meet a scan's own"):
        _list("m.parquet", path_column="file", time_column="begin")
    with pytest.raises(ListenEdgeError, match="2 of 2 rows hold no time in the column recorded_at"):
        _list("m.parquet", path_column="file")
    _manifest(archive / "m.tsv", "path\tn\na/x.wav\tone\n")
    pq.write_table(table.select(["file", "n"]).rename_columns(["path", "n"]), "m.parquet")
    both = _list("m.tsv", "m.parquet").table
    assert both["n"].to_pylist() == ["one", "2"]  # text where one manifest has text


@pytest.mark.parametrize(
    "kind", [pa.string_view(), pa.large_string(), pa.binary_view(), pa.large_binary()], ids=str
)
def test_texts_of_every_layout_are_carried_along(archive: Path, kind: pa.DataType) -> None:
    columns = {"path": pa.array(["a/x.wav", "b/x.wav"], kind), "site": pa.array(["s", None], kind)}
    pq.write_table(pa.table(columns), archive / "m.parquet")
    table = _list("m.parquet").table
    assert table["path"].to_pylist() == [b"a/x.wav", b"b/x.wav"]
    assert table["site"].cast(pa.binary()).to_pylist() == [b"s", None]


def test_a_column_that_cannot_be_carried_is_one_line(archive: Path) -> None:
    nested = pa.array([["s"]], pa.list_(pa.string_view()))
    pq.write_table(pa.table({"path": ["a/x.wav"], "sites": nested}), archive / "m.parquet")
    with pytest.raises(
        ListenEdgeError, match=r"the column sites is of list.*string_view.*leave it"
    ):
        _list("m.parquet")


@pytest.mark.parametrize("unit", ["ms", "us"])
@pytest.mark.parametrize("zone", [None, "UTC", "Pacific/Kiritimati"])
def test_a_year_that_no_calendar_has_is_no_time(archive: Path, unit: str, zone: str | None) -> None:
    per_s = {"ms": 10**3, "us": 10**6}[unit]
    most = (1 << 63) - 1
    numbers = [-most, -(10**12) * per_s, 1714568400 * per_s, min(10**12 * per_s, most), most]
    names = [f"{k}.wav" for k in range(len(numbers))]
    begins = pa.array(numbers, pa.int64()).cast(pa.timestamp(unit, zone))
    pq.write_table(pa.table({"path": [*names[:-1], "a/x.wav"], "start": begins}), "m.parquet")
    listing = _list("m.parquet", time_column="start", timezone="Etc/UTC")
    known = [one for one in listing.table["recorded_at"].to_pylist() if one is not None]
    assert known == [datetime(2024, 5, 1, 13, tzinfo=timezone.utc)]
    assert "m.parquet: 4 of 5 times cannot be read" in listing.notes[-1]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (
            "m.csv",
            b"file,site\na/x.wav,1\n",
            "no column path; it has file, site: name one with --p",
        ),
        ("m.csv", b"", "cannot be read (no names of columns); expected a CSV file"),
        ("m.csv", b"\x89PNG\0\0\n1\n", "no names of columns"),
        ("m.csv", b"path,path\na,b\n", "two columns of one name"),
        ("m.csv", b"path,a\nx.wav\n", "CSV parse error: Expected 2 columns, got 1"),
        ("m.csv", b"path,a\na/x.wav,\xff\n", "the column a is not UTF-8"),
        ("m.csv", b"path,a\n,1\na/x.wav,2\n", "1 rows have no path, the first is row 1"),
        ("m.csv", b"path,state\na/x.wav,NY\n", "the column state would meet a scan's own"),
        ("m.csv", b"path,a\nnot/there.wav,1\n", "names 1 recordings and none is there, the first"),
        ("m.csv", b"path,a\n", "no recordings there"),
        ("m.parquet", b"path\nx.wav\n", "expected a parquet file"),
        ("m.txt", b"\n", "no recordings there"),
        ("c/notes.md/x", b"", "c: no recordings there; expected WAV"),
    ],
)
def test_an_input_that_cannot_be_used_is_one_line(
    archive: Path, name: str, data: bytes, said: str
) -> None:
    _file(archive / name).write_bytes(data)
    with pytest.raises(ListenEdgeError) as raised:
        _list(name.split("/", maxsplit=1)[0])
    message = str(raised.value)
    assert said in message and message.startswith(name.split("/", maxsplit=1)[0])
    assert "\n" not in message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gone.wav", "gone.wav: no such file or directory"),
        ("gone\n.csv", r"gone\n.csv: no such file or directory"),
        ("*.ogg", "*.ogg: no recordings there"),
        ("dangling.wav", "dangling.wav: no such file or directory"),
        ("pipe", "pipe: is no file; expected a recording"),
        ("nope://me:pw@host/x", "nope://host/x: no storage is called nope; expected s3"),
        ("memory://gone/x.wav", "memory://gone/x.wav: no such file or directory"),
        ("http://me:pw@127.0.0.1:1/x.wav?token=t", "http://127.0.0.1:1/x.wav?…: cannot be read"),
        ("s3://b/x?zone=1", "s3://b: unknown option zone; expected region"),
    ],
)
def test_an_input_that_is_not_there_is_one_line(archive: Path, given: str, said: str) -> None:
    (archive / "dangling.wav").symlink_to("gone.wav")
    os.mkfifo(archive / "pipe")
    with pytest.raises(ListenEdgeError) as raised:
        _list(given)
    assert str(raised.value).startswith(said)
    assert "pw" not in str(raised.value) and "\n" not in str(raised.value)


def test_an_unknown_time_zone_is_one_line_with_one_like_it() -> None:
    with pytest.raises(ListenEdgeError, match=r"such as Europe/Berlin$"):
        ListingOptions(timezone="Europe/Berln")
    for name in ("../etc/passwd", "", "Europe", "/etc/localtime", "a\n"):
        with pytest.raises(ListenEdgeError, match="expected an IANA name"):
            ListingOptions(timezone=name)
