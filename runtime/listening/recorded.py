"""The windows of a recording, or of a span of it: the same windows, wherever the span begins."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from listen_edge.audio.limits import check_duration
from listen_edge.audio.recording import Recording
from listen_edge.errors import AudioError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.runtime.listening.window import Feed, Window
from listen_edge.runtime.sources import Block

_BLOCK_FRAMES = 1 << 16
_LEAD_S = 1.0  # heard before a span, until the resampler has forgotten that it began there


def recorded_windows(
    path: Path, window_s: float, hop_s: float, first: int = 0, last: int | None = None
) -> Iterator[Window]:
    """Yield windows of a recording: those that Listener answers about, in their order.

    Args:
        path: see Recording; a window but the first is sought, see Recording.n_seekable.
        window_s, hop_s: length of a window, and from one to the next.
        first, last: the windows' numbers, the last not included; None: to the recording's end.

    Raises:
        AudioError: see Recording; the windows before have been yielded.
    """
    n_window, n_hop = (round(s * SAMPLE_RATE) for s in (window_s, hop_s))
    with Recording(path) as recording:
        begun = _begin(recording.rate, n_hop, first)
        if begun:
            recording.seek(begun * n_hop * recording.rate // SAMPLE_RATE)
        feed = Feed(n_window, n_hop, begin_s=begun * n_hop / SAMPLE_RATE)
        numbered = enumerate(_all(recording, feed, is_whole=begun == 0), start=begun)
        wanted = takewhile(lambda one: last is None or one[0] < last, numbered)
        yield from (window for number, window in wanted if number >= first)


def _begin(rate: int, n_hop: int, first: int) -> int:
    """Return the window at which reading begins, at a whole frame and early enough."""
    wanted = max(0, first - math.ceil(_LEAD_S * SAMPLE_RATE / n_hop))
    step = SAMPLE_RATE // math.gcd(SAMPLE_RATE, n_hop * rate)
    return wanted // step * step


def _all(recording: Recording, feed: Feed, *, is_whole: bool) -> Iterator[Window]:
    n_frames = 0
    while len(samples := recording.read(_BLOCK_FRAMES)):
        n_frames += len(samples)
        codec = recording.is_speech_codec
        yield from feed.push(
            Block(samples, recording.rate, time.monotonic(), is_speech_codec=codec)
        )
    if is_whole:
        try:
            check_duration(n_frames, recording.rate)
        except AudioError as err:
            raise AudioError(f"{recording.name}: {err}") from err
    yield from feed.finish()
