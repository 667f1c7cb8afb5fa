"""Data sets whose clips carry captions, in their official layouts; one row per caption.

Captions name what is heard, so these rows have tags only where annotators gave them for sounds
(MACS). Clotho's keywords are what uploaders typed, places and equipment among it: no tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from listen_edge.errors import AudioError, one_line
from listen_edge.train.datasets.row import (
    Row,
    audio_index,
    first_existing,
    plain_name,
    present,
    read_table,
    youtube_names,
)

_AUDIOCAPS = "github.com/cdjkim/audiocaps (lists; audio is AudioSet's, on YouTube)"
_CLOTHO = "doi.org/10.5281/zenodo.4783391"
_MACS = "doi.org/10.5281/zenodo.5114771"
_TAU = "doi.org/10.5281/zenodo.2589280"


def audiocaps(folder: Path) -> list[Row]:
    """Return AudioCaps' captions; split is "train", "val" or "test".

    Layout: `train.csv`, `val.csv`, `test.csv` (those there are; here or in `dataset/`) and audio
    anywhere below the folder, named as in youtube_names or by audiocap_id.
    """
    lists = [
        path
        for split in ("train", "val", "test")
        for path in (folder / f"{split}.csv", folder / "dataset" / f"{split}.csv")
        if path.is_file()
    ]
    if not lists:
        first_existing([folder / "train.csv"], "AudioCaps' lists of captions", _AUDIOCAPS)
    files = audio_index(folder)

    def rows() -> Iterator[tuple[Row | None, str]]:
        for path in lists:
            columns = ("audiocap_id", "youtube_id", "start_time", "caption")
            for row in read_table(path, columns):
                try:
                    start_s = float(row["start_time"])
                except ValueError as err:
                    raise AudioError(
                        f"{path}: start_time {row['start_time']!r}: no number"
                    ) from err
                keys = [*youtube_names(row["youtube_id"], start_s), row["audiocap_id"]]
                audio = next((files[key] for key in keys if key in files), None)
                licence, caption = "captions: academic use only", row["caption"].strip()
                name = f"{row['youtube_id']}_{start_s:g}"
                if audio is None:
                    yield None, name
                else:
                    yield Row(audio, (), caption, path.stem, licence, "audiocaps"), name

    return present(rows(), folder, _AUDIOCAPS)


def clotho(folder: Path) -> list[Row]:
    """Return Clotho's captions, five a clip; split is its development, validation or evaluation.

    Layout: `clotho_captions_SPLIT.csv` and `clotho_metadata_SPLIT.csv` (licences), here or in
    `clotho_csv_files/`; audio in `SPLIT/`, here or in `clotho_audio_files/`.
    """
    splits = ("development", "validation", "evaluation")
    tables = {
        split: path
        for split in splits
        for path in _either(folder, "clotho_csv_files", f"clotho_captions_{split}.csv")
        if path.is_file()
    }
    if not tables:
        first_existing([folder / f"clotho_captions_{splits[0]}.csv"], "Clotho's captions", _CLOTHO)

    def rows() -> Iterator[tuple[Row | None, str]]:
        for split, table in tables.items():
            places = _either(folder, "clotho_audio_files", split)
            audio = first_existing(places, "Clotho's audio", _CLOTHO)
            names = _either(folder, "clotho_csv_files", f"clotho_metadata_{split}.csv")
            metadata = first_existing(names, "Clotho's licences", _CLOTHO)
            licences = {
                row["file_name"].strip(): row["license"].strip()
                for row in read_table(metadata, ("file_name", "license"))
            }
            captions = [f"caption_{k}" for k in range(1, 6)]
            for row in read_table(table, ("file_name", *captions)):
                name = row["file_name"].strip()
                for column in captions:
                    licence, caption = licences.get(name, ""), row[column].strip()
                    yield Row(audio / name, (), caption, split, licence, "clotho"), name

    return present(rows(), folder, _CLOTHO)


def _either(folder: Path, inner: str, name: str) -> list[Path]:
    """Return where a part may lie: the archives unpack into one folder, some tools into two."""
    return [folder / name, folder / inner / name]


def macs(folder: Path) -> list[Row]:
    """Return MACS' captions, two to five a clip, with the tags of all its annotators.

    Layout: `MACS.yaml`; audio of TAU Urban Acoustic Scenes 2019 in `audio/` or in
    `TAU-urban-acoustic-scenes-2019-development/audio/`.
    """
    path = first_existing([folder / "MACS.yaml"], "MACS' captions", _MACS)
    places = [folder / "audio", folder / "TAU-urban-acoustic-scenes-2019-development" / "audio"]
    audio = first_existing(places, "the audio MACS describes", _TAU)

    def rows() -> Iterator[tuple[Row | None, str]]:
        for clip in _yaml_files(path):
            name, annotations = str(clip["filename"]), clip["annotations"]
            # "adults_talking" by several annotators is one tag, in the order of first mention.
            tags = dict.fromkeys(plain_name(tag) for one in annotations for tag in one["tags"])
            for one in annotations:
                caption, licence = (
                    str(one["sentence"]).strip(),
                    "non-commercial (Tampere University)",
                )
                yield Row(audio / name, tuple(tags), caption, "", licence, "macs"), name

    return present(rows(), audio, _TAU)


def _yaml_files(path: Path) -> list[dict[str, Any]]:
    """Return MACS' list of clips, each with filename and annotations (sentence, tags)."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 20 times as fast where it is built
    try:
        clips: list[dict[str, Any]] = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)[
            "files"
        ]
        for clip in clips:
            missing = {"filename", "annotations"} - clip.keys()
            missing |= {k for one in clip["annotations"] for k in {"sentence", "tags"} - one.keys()}
            if missing:
                raise AudioError(
                    f"{path}: {clip.get('filename', 'a clip')} has no {', '.join(sorted(missing))}"
                )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as err:
        raise AudioError(
            f"{path}: not MACS' captions ({one_line(err, 80)}); get it from {_MACS}"
        ) from err
    return clips
