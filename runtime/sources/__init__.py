"""Where sound comes from. A source hands out blocks at its own rate; it knows nothing of windows.

microphone (a capture process), file, folder, stdin and ffmpeg each have their file. Anything with
the methods of Source will do, in Python too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the capture process imports this package, and needs no numpy
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Block:
    """Some samples, as they came.

    Attributes:
        samples: shape (n_frames, n_channels), float32 in [-1, 1].
        rate: Hz.
        received_s: time.monotonic() of its arrival.
        has_overflowed: samples were lost just before or within this block.
        is_speech_codec: it went through a codec that models a voice, see Recording.
        device: what delivers it, where the source may be one of several.
    """

    samples: NDArray[np.float32]
    rate: int
    received_s: float
    has_overflowed: bool = False
    is_speech_codec: bool = field(default=False, kw_only=True)
    device: str | None = field(default=None, kw_only=True)


class EndOfStream(Exception):  # noqa: N818 - an end, not an error
    """The source has ended as it should: a recording is over, stdin was closed."""


class Source(Protocol):
    """What the listener asks of a source.

    Attributes:
        name: goes into every line.
        is_live: sound comes in real time, wanted or not: windows are skipped to keep up, a silent
            source is opened again. Otherwise every window is answered and a loss is an error.
    """

    name: str
    is_live: bool

    def open(self) -> None:
        """Begin, or begin anew after close. Returns at once; failures may come from read.

        Raises:
            AudioError: the source cannot be there, for example a file is missing.
        """

    def read(self, timeout_s: float) -> Block | None:
        """Return the next block, or None if none came in time.

        Raises:
            EndOfStream: it ended as it should.
            AudioError: it is lost; open may bring it back.
            BackendError: what it needs is not installed.
        """

    def close(self) -> None:
        """Stop and free everything, within a second, whatever hangs. May be called twice."""
