"""A live source that is kept open: its blocks become windows, its losses are told and mended.

Knows the time, the source and its liveness; nothing of questions and answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from listen_edge.errors import AudioError
from listen_edge.lines.answer import Reason
from listen_edge.runtime.listening.liveness import Liveness, LivenessConfig
from listen_edge.runtime.listening.window import Feed, Window
from listen_edge.runtime.sources import Block, EndOfStream, Source

_STALE_S = 1.0  # without audio, beyond the hop
_DRAIN_S = 0.05  # longest time to take blocks that wait


class Reception:
    """Opens the source when it is made.

    Args:
        source: live; closed by its owner.
        new_feed: makes a feed whose windows begin at these seconds of the stream.
        hop_s: between windows, and between two reports of what is not heard.
        config: see LivenessConfig.
        waits_for_device: a source that is not there at first is no error.
        is_muted: it is not opened before unmute.

    Attributes:
        liveness: state and message of the source.
        n_overflows: blocks before which samples were lost.
        has_ended: the source has ended as it should.

    Raises:
        AudioError: from any method until the first block: the source is not there.
    """

    def __init__(
        self,
        source: Source,
        new_feed: Callable[[float], Feed],
        *,
        hop_s: float,
        config: LivenessConfig,
        waits_for_device: bool,
        is_muted: bool = False,
    ) -> None:
        now_s = time.monotonic()
        self.liveness = Liveness(config, now_s)
        self.n_overflows, self.has_ended = 0, False
        self._source, self._new_feed = source, new_feed
        self._hop_s, self._waits_for_device = hop_s, waits_for_device
        self._feed: Feed | None = None  # from the first block of an opening on
        self._has_heard = False
        self._end_s, self._end_at_s = 0.0, now_s  # how far the stream was told; and when
        self._frames_at_s = self._told_at_s = now_s
        if is_muted:
            self.mute()
        else:
            self._open()

    @property
    def is_muted(self) -> bool:
        """Whether the source is closed because that is wanted."""
        return self.liveness.state == "muted"

    def mute(self) -> None:
        """Close the source until unmute; of what was heard nothing is kept."""
        self._source.close()
        self._feed, self._is_open = None, False
        self.liveness.mute()

    def unmute(self) -> None:
        """Open the source again."""
        self._frames_at_s = time.monotonic()
        self.liveness.unmute(self._frames_at_s)
        self._open()

    def take(self, timeout_s: float) -> list[Window]:
        """Wait for a block, take those that are there, and return the windows they complete.

        Takes no longer than timeout_s: a writer that is faster than we are would never let go.
        """
        if not self._is_open:
            time.sleep(timeout_s)
            return []
        return self._take(timeout_s, time.monotonic() + timeout_s)

    def take_waiting(self) -> list[Window]:
        """Return the windows that have come meanwhile, without waiting for more."""
        can_read = self._is_open and not self.has_ended
        return self._take(0.0, time.monotonic() + _DRAIN_S) if can_read else []

    def _take(self, timeout_s: float, until_s: float) -> list[Window]:
        windows: list[Window] = []
        try:
            block = self._source.read(timeout_s)
            while block is not None:
                windows += self._hear(block)
                block = self._source.read(0.0) if time.monotonic() < until_s else None
        except EndOfStream:
            self.has_ended = True
            windows += self._feed.finish() if self._feed is not None else []
        except AudioError as err:
            self._lose(err)
        if windows:
            last = windows[-1]
            self._tell(last.end_s, last.received_s)
        return windows

    def unheard(self) -> tuple[Reason, tuple[float, float]] | None:
        """Return, once a hop, why nothing is heard and from when to when; None if all is well."""
        now_s = time.monotonic()
        reason: Reason | None = "muted" if self.is_muted else self._why_unheard(now_s)
        if reason is None or now_s - self._told_at_s < self._hop_s:
            return None
        span_s = self._end_s, self._stream_s(now_s)
        self._tell(span_s[1], now_s)
        return reason, span_s

    def tend(self) -> None:
        """Open the source again when it is time for that."""
        if self.liveness.tick(time.monotonic()):
            self._open()

    def _open(self) -> None:
        self._source.close()
        self._feed, self._is_open = None, True
        try:
            self._source.open()
        except AudioError as err:
            self._lose(err)

    def _lose(self, err: AudioError) -> None:
        if not (self._has_heard or self._waits_for_device):
            raise err
        self._source.close()
        self._is_open = False
        self.liveness.lost(time.monotonic(), str(err))

    def _hear(self, block: Block) -> list[Window]:
        if self._feed is None or self._is_stale(block.received_s):  # no window spans a gap
            seconds = len(block.samples) / block.rate
            begin_s = self._stream_s(block.received_s - seconds) if self._end_s > 0 else 0.0
            self._feed = self._new_feed(begin_s)
        has_changed = self.liveness.heard(block.received_s)
        if has_changed or not self._has_heard:
            self.liveness.message = (
                f"listening{' again' if self._has_heard else ''} at {block.rate} Hz, "
                f"{block.samples.shape[1]} channels"
            ) + (f" on {block.device!r}" if block.device is not None else "")
        self._has_heard = True
        self._frames_at_s = block.received_s
        self.n_overflows += block.has_overflowed
        return self._feed.push(block)

    def _why_unheard(self, now_s: float) -> Reason | None:
        if self.liveness.state != "healthy":
            return "no_audio"
        if not self._has_heard:
            return None  # it is being opened: either it delivers soon, or it is an error
        if self._is_stale(now_s):
            return "stale"
        return None if self._feed is not None and self._feed.has_windows else "warming_up"

    def _is_stale(self, now_s: float) -> bool:
        return now_s - self._frames_at_s > self._hop_s + _STALE_S

    def _stream_s(self, now_s: float) -> float:
        return self._end_s + max(0.0, now_s - self._end_at_s)

    def _tell(self, end_s: float, now_s: float) -> None:
        self._end_s, self._end_at_s, self._told_at_s = end_s, now_s, time.monotonic()
