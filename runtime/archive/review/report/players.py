"""What was picked, as sound that a page can play by itself."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from listen_edge.audio.channels import mix
from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.archive.review.report.sheet import Pick
from listen_edge.runtime.archive.review.spans import Span, read_recorded

MARGIN_S = 1.0  # before and after
MAX_SPAN_S = 10.0  # of a long event, its begin
_SMALLNESS = 0.7  # libsndfile's compression level of Vorbis, at most 1: 34 kB for 7 s of noise


@dataclass(frozen=True)
class Clip:
    """A pick's sound: Ogg Vorbis, mono; or None and why there is none."""

    ogg: bytes | None
    problem: str = ""


def read_clips(picks: Iterable[Pick], paths: Mapping[str, bytes]) -> Iterator[tuple[Pick, Clip]]:
    """Yield each pick with its sound; a recording is read once, and no further than its last pick.

    Args:
        paths: of the recordings, by name.
    """
    by_recording: dict[str, dict[Span, list[Pick]]] = defaultdict(lambda: defaultdict(list))
    for pick in picks:  # several questions may be of one span
        by_recording[pick.recording][_span(pick)].append(pick)
    for recording, waiting in by_recording.items():
        problem = "not in the scan's table of recordings"
        if recording in paths:
            found = read_recorded(paths[recording], recording, [*waiting], margin_s=MARGIN_S)
            try:
                for span, samples in found:
                    clip = Clip(_encoded(samples))
                    yield from ((pick, clip) for pick in waiting.pop(span))
            except (ListenEdgeError, OSError) as err:
                problem = one_line(err)
        missing = Clip(None, problem)
        yield from ((pick, missing) for span in waiting.values() for pick in span)


def _span(pick: Pick) -> Span:
    return pick.start_s, min(pick.end_s, pick.start_s + MAX_SPAN_S)


def _encoded(samples: NDArray[np.float32]) -> bytes:
    """Return samples (n_samples, n_channels) at 16 kHz as Ogg Vorbis, mixed."""
    sound = io.BytesIO()
    kind = {"format": "OGG", "subtype": "VORBIS", "compression_level": _SMALLNESS}
    soundfile.write(sound, mix(samples), SAMPLE_RATE, **kind)
    return sound.getvalue()
