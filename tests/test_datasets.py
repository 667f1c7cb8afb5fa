"""Readers on tiny made-up folders in the official layouts, complete and damaged."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from listen_edge.errors import AudioError
from listen_edge.train.datasets import READERS, Row, read_dataset, readable
from tests.dataset_layouts import (
    MAKERS,
    make_audiocaps,
    make_audioset,
    make_macs,
    make_vocalsound,
    sound,
    write,
)

# Per row: tags, caption, split, licence.
Expected = list[tuple[tuple[str, ...], str | None, str, str]]
_AUDIOSET = "labels CC BY 4.0; audio: its uploader's"
_CAPTIONS = ("One.", "Two.", "Three.", "Four.", "Five, and more.")
_BY = "http://creativecommons.org/licenses/by/3.0/"
_MACS = ("adults talking", "footsteps")
EXPECTED: dict[str, Expected] = {
    "audioset": [
        (("domestic animals, pets", "dog"), None, "balanced_train", _AUDIOSET),
        (("speech",), None, "balanced_train", _AUDIOSET),
        (("speech",), None, "eval", _AUDIOSET),
    ],
    "audiocaps": [
        ((), "A woman talks, then a dog barks", "train", "captions: academic use only"),
        ((), "Rain falls", "test", "captions: academic use only"),
        ((), "It rains", "test", "captions: academic use only"),
    ],
    "clotho": [((), text, s, _BY) for s in ("development", "evaluation") for text in _CAPTIONS],
    "macs": [
        (_MACS, "a lot of people talking", "", "non-commercial (Tampere University)"),
        (_MACS, "people walk and talk", "", "non-commercial (Tampere University)"),
    ],
    "fsd50k": [
        (("electric guitar", "guitar"), None, "train", "http://cc.org/64760"),
        (("medium engine (mid frequency)",), None, "val", "http://cc.org/16399"),
        (("bark", "dog"), None, "eval", "http://cc.org/37199"),
    ],
    "esc50": [
        (("dog",), None, "fold1", "CC BY 3.0"),
        (("crying baby",), None, "fold3", "CC BY-NC 3.0"),
    ],
    "urbansound8k": [
        (("dog bark",), None, "fold5", "CC BY-NC 3.0"),
        (("air conditioner",), None, "fold10", "CC BY-NC 3.0"),
    ],
    "vocalsound": [
        (("cough",), None, "tr", "CC BY-SA 4.0"),
        (("throat clearing",), None, "val", "CC BY-SA 4.0"),
        (("laughter",), None, "te", "CC BY-SA 4.0"),
    ],
    "labelled": [
        (("propeller airplane",), None, "", "CC0"),
        (("horse",), None, "test", "CC BY 4.0"),
    ],
}


@pytest.mark.parametrize("name", READERS)
def test_official_layout_becomes_rows(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    rows = read_dataset(f"{name}:{tmp_path}")
    assert [(row.tags, row.caption, row.split, row.licence) for row in rows] == EXPECTED[name]
    assert all(row.path.is_file() and row.dataset == name for row in rows)


@pytest.mark.parametrize("name", READERS)
def test_an_empty_folder_is_one_error_with_what_where_and_whence(name: str, tmp_path: Path) -> None:
    with pytest.raises(AudioError) as error:
        read_dataset(f"{name}:{tmp_path}")
    message = str(error.value)
    assert str(tmp_path) in message
    assert "expected" in message
    assert "get it from" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", READERS)
def test_lists_without_any_audio_are_an_error(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    for path in tmp_path.rglob("*"):
        if path.suffix in (".wav", ".flac", ".ogg"):
            path.unlink()
    with pytest.raises(AudioError, match=r"none of .* listed recordings is there .*get the audio"):
        read_dataset(f"{name}:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("audioset", "class_labels_indices.csv"),
        ("clotho", "clotho_metadata_development.csv"),
        ("fsd50k", "FSD50K.metadata/dev_clips_info_FSD50K.json"),
        ("vocalsound", "datafiles/val.json"),
    ],
)
def test_a_missing_part_is_named(name: str, gone: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises(AudioError, match=f"{gone}.*get it from"):
        read_dataset(f"{name}:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "table", "column"),
    [
        ("audiocaps", "train.csv", "caption"),
        ("clotho", "clotho_captions_development.csv", "caption_3"),
        ("fsd50k", "FSD50K.ground_truth/dev.csv", "labels"),
        ("esc50", "meta/esc50.csv", "category"),
        ("urbansound8k", "metadata/UrbanSound8K.csv", "class"),
        ("labelled", "meta.csv", "label"),
    ],
)
def test_a_missing_column_is_named_with_its_file(
    name: str, table: str, column: str, tmp_path: Path
) -> None:
    MAKERS[name](tmp_path)
    path = tmp_path / table
    header, rest = path.read_text().split("\n", 1)
    renamed = ",".join("other" if part == column else part for part in header.split(","))
    path.write_text(f"{renamed}\n{rest}")
    with pytest.raises(AudioError, match=rf"{table}: no column {column}; expected .*found .*other"):
        read_dataset(f"{name}:{tmp_path}")


def test_a_row_of_one_s_own_may_say_what_is_absent(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    table = "filename,label,absent\na.wav,,Siren; smoke_alarm ;\nb.wav,Dog,siren\nc.wav,Cat,\n"
    (tmp_path / "meta.csv").write_text(table)
    for name in "abc":
        (tmp_path / f"audio/{name}.wav").touch()
    rows = read_dataset(f"labelled:{tmp_path}")
    assert [(row.tags, row.absent) for row in rows] == [
        ((), ("siren", "smoke alarm")),
        (("dog",), ("siren",)),
        (("cat",), ()),
    ]


def test_a_row_cut_short_is_an_error(tmp_path: Path) -> None:
    make_audiocaps(tmp_path)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("91140,r1nicOVtvkQ\n")
    with pytest.raises(AudioError, match=r"train.csv: line of '91140' has fewer fields"):
        read_dataset(f"audiocaps:{tmp_path}")


def test_a_start_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    make_audiocaps(tmp_path)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("91140,r1nicOVtvkQ,soon,A dog\n")
    with pytest.raises(AudioError, match=r"train.csv: start_time 'soon'"):
        read_dataset(f"audiocaps:{tmp_path}")


def test_a_garbled_segment_line_is_an_error(tmp_path: Path) -> None:
    make_audioset(tmp_path)
    write(tmp_path / "balanced_train_segments.csv", "<html>Not found</html>\n")
    with pytest.raises(AudioError, match=r"balanced_train_segments.csv: '<html>.*YTID"):
        read_dataset(f"audioset:{tmp_path}")


@pytest.mark.parametrize("text", ["files: [", "captions: []", "files:\n- filename: a.wav\n"])
def test_garbled_macs_captions_are_an_error(text: str, tmp_path: Path) -> None:
    make_macs(tmp_path)
    write(tmp_path / "MACS.yaml", text)
    with pytest.raises(AudioError, match=r"MACS.yaml"):
        read_dataset(f"macs:{tmp_path}")


def test_a_garbled_vocalsound_list_is_an_error(tmp_path: Path) -> None:
    make_vocalsound(tmp_path)
    write(tmp_path / "datafiles/tr.json", '{"clips": []}')
    with pytest.raises(AudioError, match=r"tr.json: not a list of clips"):
        read_dataset(f"vocalsound:{tmp_path}")


def test_missing_clips_are_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_audioset(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert len(read_dataset(f"audioset:{tmp_path}")) == 3
    assert "1 listed recordings are missing: -0gonevideo_30" in caplog.text


def test_esc50_takes_the_licence_of_a_flat_table(tmp_path: Path) -> None:
    write(tmp_path / "meta.csv", "filename,fold,category,licence\na.wav,2,church_bells,CC0\n")
    path = sound(tmp_path / "audio/a.wav")
    expected = Row(path, ("church bells",), None, "fold2", "CC0", "esc50")
    assert read_dataset(f"esc50:{tmp_path}") == [expected]


@pytest.mark.parametrize("spec", ["esc50", "gtzan:.", "esc50:", ":."])
def test_a_spec_of_another_form_is_an_error(spec: str) -> None:
    with pytest.raises(AudioError, match=r"expected NAME:FOLDER, NAME of audioset"):
        read_dataset(spec)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such folder; expected the data set esc50"):
        read_dataset(f"esc50:{tmp_path / 'none'}")


def test_corrupt_clips_among_good_ones_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = [sound(tmp_path / f"{k}.wav") for k in range(20)]
    truncated = tmp_path / "truncated.flac"
    rng = np.random.default_rng(0)
    soundfile.write(truncated, rng.normal(0, 0.1, 48_000), 16_000)
    truncated.write_bytes(truncated.read_bytes()[:-20_000])
    text = write(tmp_path / "text.wav", "<html>")
    empty = write(tmp_path / "empty.wav", "")
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(100), 16_000)
    bad = [truncated, text, empty, short, tmp_path / "gone.wav"]
    rows = [Row(path, ("dog",), str(k)) for path in (*good[:10], *bad, *good[10:]) for k in (1, 2)]
    with caplog.at_level(logging.INFO):
        kept, skipped = readable(rows)
    assert [row.path for row in kept] == [path for path in good for _ in range(2)]
    assert skipped == bad
    assert all(path.name in caplog.text for path in bad)
