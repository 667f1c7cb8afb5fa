"""Stretches of a recording at 16 kHz; it is decoded once, and no further than is needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio.reading import at_16_khz_by_blocks
from listen_edge.audio.recording import Recording
from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.printable import printable
from listen_edge.runtime.archive.listing.storage import local_recording

Span = tuple[float, float]  # seconds
_SHORTFALL_S = 0.1  # of a span at the end: coded lengths are not exact


def read_recorded(
    path: bytes, recording: str, spans: Iterable[Span], *, margin_s: float = 0.0
) -> Iterator[tuple[Span, NDArray[np.float32]]]:
    """Yield spans of a recording of a scan, wherever it lies; see read_spans.

    Args:
        path, recording: as they are listed.

    Raises:
        AudioError: names the recording.
    """
    here: str | Path = os.fsdecode(path)
    try:
        with local_recording(path) as here:
            yield from read_spans(here, spans, margin_s=margin_s)
    except AudioError as err:
        raise AudioError(str(err).replace(printable(here), recording)) from err


def read_spans(
    path: Path, spans: Iterable[Span], *, margin_s: float = 0.0
) -> Iterator[tuple[Span, NDArray[np.float32]]]:
    """Yield each span and its samples, shape (n_samples, n_channels), as they come.

    Args:
        path: see Recording.
        margin_s: heard before and after each span, as far as the recording goes.

    Raises:
        AudioError: from the recording, or it ends before a span does.
    """
    waiting = sorted(set(spans))
    begin = 0  # of what is held
    held: NDArray[np.float32] | None = None
    with Recording(path) as recording:
        blocks = at_16_khz_by_blocks(recording)
        while waiting:
            error: AudioError | None = None
            try:
                block = next(blocks, None)
            except AudioError as err:
                block, error = None, err
            if block is not None:
                held = block if held is None else np.concatenate([held, block])
            is_end = block is None
            end = begin + (0 if held is None else len(held))
            for span in [s for s in waiting if is_end or _last(s, margin_s) <= end]:
                if held is None or _last(span, -_SHORTFALL_S) > end:
                    raise error or AudioError(
                        f"{recording.name}: ends before {span[1]:.1f} s, which was heard in it; "
                        "put back the recording that was scanned"
                    )
                waiting.remove(span)
                yield span, held[_first(span, margin_s) - begin : _last(span, margin_s) - begin]
            if waiting and held is not None:
                n_over = min(max(0, _first(waiting[0], margin_s) - begin), len(held))
                held, begin = held[n_over:], begin + n_over


def _first(span: Span, margin_s: float) -> int:
    return max(0, round((span[0] - margin_s) * SAMPLE_RATE))


def _last(span: Span, margin_s: float) -> int:
    return round((span[1] + margin_s) * SAMPLE_RATE)
