"""Data sets whose clips carry tags, in their official layouts."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from listen_edge.errors import AudioError
from listen_edge.train.datasets.row import (
    Row,
    audio_index,
    first_existing,
    plain_name,
    present,
    read_table,
    youtube_names,
)

_AUDIOSET = "research.google.com/audioset/download.html (lists; audio is on YouTube)"
_FSD50K = "doi.org/10.5281/zenodo.4060432"
_ESC50 = "github.com/karolpiczak/ESC-50"
_URBANSOUND8K = "doi.org/10.5281/zenodo.1203745"
_VOCALSOUND = "github.com/YuanGongND/vocalsound"


def audioset(folder: Path) -> list[Row]:
    """Return AudioSet's balanced clips, and the evaluation clips if their list is there.

    Layout: `balanced_train_segments.csv`, `eval_segments.csv` (optional),
    `class_labels_indices.csv`, and audio anywhere below the folder, named as in youtube_names.
    """
    classes = first_existing([folder / "class_labels_indices.csv"], "AudioSet's classes", _AUDIOSET)
    names = {
        row["mid"]: plain_name(row["display_name"])
        for row in read_table(classes, ("mid", "display_name"))
    }
    train = folder / "balanced_train_segments.csv"
    lists = [first_existing([train], "AudioSet's list of clips", _AUDIOSET)]
    lists += [path for path in [folder / "eval_segments.csv"] if path.is_file()]
    files = audio_index(folder)

    def rows() -> Iterator[tuple[Row | None, str]]:
        for path in lists:
            for video, start_s, labels in _segments(path):
                keys = youtube_names(video, start_s)
                audio = next((files[key] for key in keys if key in files), None)
                tags = tuple(names[mid] for mid in labels.split(",") if mid in names)
                split = path.name.removesuffix("_segments.csv")
                licence = "labels CC BY 4.0; audio: its uploader's"
                row = Row(audio, tags, None, split, licence, "audioset") if audio else None
                yield row, f"{video}_{start_s:g}"

    return present(rows(), folder, _AUDIOSET)


def _segments(path: Path) -> Iterator[tuple[str, float, str]]:
    """Yield video, start in seconds and class ids of AudioSet's list; `#` begins a comment."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = (line for line in file if not line.startswith("#"))
        for fields in csv.reader(lines, skipinitialspace=True):
            try:
                video, start_s, _, labels = fields
                yield video, float(start_s), labels
            except ValueError as err:
                raise AudioError(
                    f"{path}: {', '.join(fields)[:80]!r} is not YTID, start_seconds, end_seconds, "
                    "positive_labels"
                ) from err


def fsd50k(folder: Path) -> list[Row]:
    """Return FSD50K's clips; split is "train" or "val" of the development set, or "eval".

    Layout: `FSD50K.ground_truth/dev.csv` and `eval.csv`, `FSD50K.metadata/*_clips_info_FSD50K.json`
    (licences), `FSD50K.dev_audio/` and `FSD50K.eval_audio/`.
    """
    truth = first_existing([folder / "FSD50K.ground_truth"], "FSD50K's labels", _FSD50K)
    parts = [part for part in ("dev", "eval") if (truth / f"{part}.csv").is_file()]
    if not parts:
        raise AudioError(f"{truth}: neither dev.csv nor eval.csv; get them from {_FSD50K}")

    def rows(part: str) -> Iterator[tuple[Row | None, str]]:
        info = folder / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json"
        clips = json.loads(first_existing([info], "FSD50K's licences", _FSD50K).read_bytes())
        columns = ("fname", "labels", "mids", "split") if part == "dev" else ("fname", "labels")
        for row in read_table(truth / f"{part}.csv", columns):
            tags = tuple(plain_name(label) for label in row["labels"].split(","))
            path = folder / f"FSD50K.{part}_audio" / f"{row['fname']}.wav"
            licence = clips.get(row["fname"], {}).get("license", "")
            yield Row(path, tags, None, row.get("split", part), licence, "fsd50k"), path.name

    return present((pair for part in parts for pair in rows(part)), folder, _FSD50K)


def esc50(folder: Path) -> list[Row]:
    """Return ESC-50's clips; split is "fold1" to "fold5".

    Layout: `meta/esc50.csv` and `audio/`; or a flat `meta.csv`, whose `licence` column is used.
    """
    table = first_existing(
        [folder / "meta/esc50.csv", folder / "meta.csv"], "ESC-50's table of clips", _ESC50
    )

    def rows() -> Iterator[tuple[Row | None, str]]:
        for row in read_table(table, ("filename", "fold", "category")):
            # The LICENSE file: CC BY-NC for all, CC BY for the subset ESC-10.
            licence = row.get("licence") or (
                "CC BY 3.0" if row.get("esc10") == "True" else "CC BY-NC 3.0"
            )
            path = folder / "audio" / row["filename"]
            tags = (plain_name(row["category"]),)
            yield Row(path, tags, None, f"fold{row['fold']}", licence, "esc50"), path.name

    return present(rows(), folder / "audio", _ESC50)


def urbansound8k(folder: Path) -> list[Row]:
    """Return UrbanSound8K's clips; split is "fold1" to "fold10".

    Layout: `metadata/UrbanSound8K.csv` and `audio/fold1/` to `audio/fold10/`.
    """
    table = first_existing(
        [folder / "metadata/UrbanSound8K.csv"], "UrbanSound8K's table of clips", _URBANSOUND8K
    )

    def rows() -> Iterator[tuple[Row | None, str]]:
        for row in read_table(table, ("slice_file_name", "fold", "class")):
            split = f"fold{row['fold']}"
            path = folder / "audio" / split / row["slice_file_name"]
            tags = (plain_name(row["class"]),)
            yield Row(path, tags, None, split, "CC BY-NC 3.0", "urbansound8k"), path.name

    return present(rows(), folder / "audio", _URBANSOUND8K)


_VOCAL_NAMES = {"throatclearing": "throat clearing"}


def vocalsound(folder: Path) -> list[Row]:
    """Return VocalSound's clips; split is "tr", "val" or "te".

    Layout: `audio_16k/` (or `audio_44k/`), `datafiles/` (or `datafiles_release/`) with `tr.json`,
    `val.json` and `te.json`. The paths in them are of their makers' machine: only names count.
    """
    lists = first_existing(
        [folder / "datafiles", folder / "datafiles_release"], "VocalSound's splits", _VOCALSOUND
    )
    audio = first_existing(
        [folder / "audio_16k", folder / "audio_44k"], "VocalSound's audio", _VOCALSOUND
    )

    def rows() -> Iterator[tuple[Row | None, str]]:
        for split in ("tr", "val", "te"):
            path = first_existing([lists / f"{split}.json"], "a VocalSound split", _VOCALSOUND)
            for clip in _data_of(path):
                name = clip.replace("\\", "/").rsplit("/", 1)[-1]
                sound = Path(name).stem.rsplit("_", 1)[-1]
                tags = (_VOCAL_NAMES.get(sound, plain_name(sound)),)
                yield Row(audio / name, tags, None, split, "CC BY-SA 4.0", "vocalsound"), name

    return present(rows(), audio, _VOCALSOUND)


def _data_of(path: Path) -> list[str]:
    """Return the audio paths of a VocalSound list."""
    try:
        return [str(clip["wav"]) for clip in json.loads(path.read_bytes())["data"]]
    except (ValueError, KeyError, TypeError) as err:
        raise AudioError(
            f'{path}: not a list of clips ({err!r}); expected {{"data": [{{"wav": ...}}]}}'
        ) from err


def labelled(folder: Path) -> list[Row]:
    """Return the clips of your own folder: `meta.csv` (filename, label) and `audio/`.

    Columns `caption`, `split` and `licence` are used where they are; without a split, the column
    `source` stands for it, so that whole sources can be left out of training. `absent` lists, after
    semicolons, sounds that are known not to be there; such a row may go without a label.
    """
    table = first_existing(
        [folder / "meta.csv"],
        "a table with filename and label",
        "`listen-edge alarms`, or write it",
    )

    def rows() -> Iterator[tuple[Row | None, str]]:
        for row in read_table(table, ("filename", "label")):
            split = row.get("split") or row.get("source") or ""
            licence = row.get("licence") or ""
            path, label = folder / "audio" / row["filename"], plain_name(row["label"])
            tags = (label,) if label else ()
            absent = tuple(filter(None, map(plain_name, (row.get("absent") or "").split(";"))))
            caption = row.get("caption") or None
            yield Row(path, tags, caption, split, licence, "labelled", absent), path.name

    return present(rows(), folder / "audio", "where the table comes from")
