"""Recordings on disk -> rows of one type: eight published data sets, and folders of your own.

A reader knows its data set's official layout and nothing of training. What is missing is one error
that says what, where and whence; clips that are listed but not there are counted and left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from listen_edge.errors import AudioError
from listen_edge.train.datasets import captioned, tagged
from listen_edge.train.datasets.row import Row, readable

__all__ = [
    "READERS",
    "Row",
    "read_dataset",
    "readable",
]

READERS: dict[str, Callable[[Path], list[Row]]] = {
    "audioset": tagged.audioset,
    "audiocaps": captioned.audiocaps,
    "clotho": captioned.clotho,
    "macs": captioned.macs,
    "fsd50k": tagged.fsd50k,
    "esc50": tagged.esc50,
    "urbansound8k": tagged.urbansound8k,
    "vocalsound": tagged.vocalsound,
    "labelled": tagged.labelled,
}


def read_dataset(spec: str) -> list[Row]:
    """Return the rows of a data set given as "name:folder", such as "esc50:data/ESC-50".

    Raises:
        AudioError: an unknown name, no such folder, or something missing from it.
    """
    name, colon, folder = spec.partition(":")
    if not colon or name not in READERS or not folder:
        raise AudioError(f"data set {spec!r}; expected NAME:FOLDER, NAME of {', '.join(READERS)}")
    if not Path(folder).is_dir():
        raise AudioError(f"{folder}: no such folder; expected the data set {name}")
    return READERS[name](Path(folder))
