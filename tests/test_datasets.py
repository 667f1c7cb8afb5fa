"""Readers on tiny made-up folders in the official layouts, complete and damaged."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from listen_edge.errors import AudioError
from listen_edge.train.datasets import READERS, Row, read_dataset, readable


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(8000, 0.1, np.float32), 16_000)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def make_audioset(folder: Path) -> None:
    write(
        folder / "class_labels_indices.csv",
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/068hy,"Domestic animals, pets"\n'
        '2,/m/0bt9lr,"Dog"\n',
    )
    write(
        folder / "balanced_train_segments.csv",
        "# Segments csv created Sun Mar  5 10:54:31 2017\n"
        "# num_ytids=22160, num_segs=22160, num_unique_labels=527, num_positive_labels=52882\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/0bt9lr"\n'
        '--BfvyPmVMo, 20.000, 30.000, "/m/09x0r"\n'
        '-0gonevideo, 30.000, 40.000, "/m/09x0r"\n',
    )
    write(
        folder / "eval_segments.csv",
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '-evaluation, 30.500, 40.500, "/m/09x0r"\n',
    )
    sound(folder / "audio/--4gqARaEJE_0.wav")
    sound(folder / "audio/Y--BfvyPmVMo_20000_30000.flac")
    sound(folder / "eval/-evaluation_30.500.wav")


def make_audiocaps(folder: Path) -> None:
    header = "audiocap_id,youtube_id,start_time,caption\n"
    write(
        folder / "train.csv", header + '91139,r1nicOVtvkQ,130,"A woman talks, then a dog barks"\n'
    )
    write(
        folder / "test.csv",
        header + "103549,7fmOlUlwoNg,30,Rain falls\n103548,7fmOlUlwoNg,30,It rains\n",
    )
    sound(folder / "audio/train/Yr1nicOVtvkQ.wav")
    sound(folder / "audio/test/7fmOlUlwoNg_30.wav")


def make_clotho(folder: Path) -> None:
    captions = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"
    metadata = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
    for split in ("development", "evaluation"):
        write(
            folder / f"clotho_captions_{split}.csv",
            f'{captions}Distorted {split}.wav,One.,Two.,Three.,Four.,"Five, and more."\n',
        )
        text = f'{metadata}Distorted {split}.wav,muffled;radio;Málaga,1,https://x,"[0, 9]",someone,'
        table = folder / f"clotho_metadata_{split}.csv"
        table.write_bytes(
            (text + "http://creativecommons.org/licenses/by/3.0/\n").encode("latin-1")
        )
        sound(folder / split / f"Distorted {split}.wav")


def make_macs(folder: Path) -> None:
    write(
        folder / "MACS.yaml",
        "files:\n"
        "- filename: airport-barcelona-0-0-a.wav\n"
        "  annotations:\n"
        "  - annotator_id: 62\n"
        "    sentence: a lot of people talking\n"
        "    tags:\n    - adults_talking\n    - footsteps\n"
        "  - annotator_id: 5\n"
        "    sentence: people walk and talk\n"
        "    tags:\n    - adults_talking\n",
    )
    sound(folder / "TAU-urban-acoustic-scenes-2019-development/audio/airport-barcelona-0-0-a.wav")


def make_fsd50k(folder: Path) -> None:
    write(
        folder / "FSD50K.ground_truth/dev.csv",
        "fname,labels,mids,split\n"
        '64760,"Electric_guitar,Guitar","/m/02sgy,/m/0342h",train\n'
        "16399,Medium_engine_(mid_frequency),/t/dd00067,val\n",
    )
    write(folder / "FSD50K.ground_truth/eval.csv", 'fname,labels,mids\n37199,"Bark,Dog","/a,/b"\n')
    for part, names in (("dev", ("64760", "16399")), ("eval", ("37199",))):
        info = {
            name: {"title": "a", "license": f"http://cc.org/{name}", "uploader": "u"}
            for name in names
        }
        path = folder / f"FSD50K.metadata/{part}_clips_info_FSD50K.json"
        write(path, json.dumps(info))
        for name in names:
            sound(folder / f"FSD50K.{part}_audio/{name}.wav")


def make_esc50(folder: Path) -> None:
    write(
        folder / "meta/esc50.csv",
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
        "3-100038-A-20.wav,3,20,crying_baby,False,100038,A\n",
    )
    sound(folder / "audio/1-100032-A-0.wav")
    sound(folder / "audio/3-100038-A-20.wav")


def make_urbansound8k(folder: Path) -> None:
    write(
        folder / "metadata/UrbanSound8K.csv",
        "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
        "100263-2-0-117.wav,100263,58.5,62.5,1,10,2,air_conditioner\n",
    )
    sound(folder / "audio/fold5/100032-3-0-0.wav")
    sound(folder / "audio/fold10/100263-2-0-117.wav")


def make_vocalsound(folder: Path) -> None:
    names = {"tr": "f0003_0_cough", "val": "m0004_0_throatclearing", "te": "f0005_1_laughter"}
    for split, name in names.items():
        clip = {"wav": f"/data/sls/vocalsound/data/{name}.wav", "labels": "/m/01b_21"}
        write(folder / f"datafiles/{split}.json", json.dumps({"data": [clip]}))
        sound(folder / f"audio_16k/{name}.wav")


def make_labelled(folder: Path) -> None:
    write(
        folder / "meta.csv",
        "filename,label,licence,split\na.ogg,Propeller airplane,CC0,\nb.ogg,horse,CC BY 4.0,test\n",
    )
    sound(folder / "audio/a.ogg")
    sound(folder / "audio/b.ogg")


MAKERS: dict[str, Callable[[Path], None]] = {
    "audioset": make_audioset,
    "audiocaps": make_audiocaps,
    "clotho": make_clotho,
    "macs": make_macs,
    "fsd50k": make_fsd50k,
    "esc50": make_esc50,
    "urbansound8k": make_urbansound8k,
    "vocalsound": make_vocalsound,
    "labelled": make_labelled,
}

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
