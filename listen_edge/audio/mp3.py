"""MPEG audio's frames, one by one: MP3 has no length in its header, and readers guess one.

libsndfile estimates the length from the first frame's bitrate and stops there. Here every frame is
found first, tags and cut ends are left out, and a frame that states the true count goes before
them. What lies between frames and is none was not heard: such a file is damaged.

Source: ISO/IEC 11172-3 and 13818-3 (header, bitrates); the LAME/Xing and VBRI tags as mpg123 and
LAME read them; ID3v2.4 (synchsafe sizes), APEv2.
"""

from __future__ import annotations

import io
import mmap
from dataclasses import dataclass
from typing import Any

from listen_edge.errors import AudioError

_KBPS_1 = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBPS_2 = {
    1: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: _LOW,
    3: _LOW,
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MPEG_1, _LAYER_3 = 3, 1  # as their bits say it
_FEW = 8  # frames
_NO_COUNT = 1 << 31  # a placeholder
_MAX_JUNK = 4096  # bytes before the first frame or behind the last one: a stream joined in a frame
_MAX_GAP = 1 << 18  # bytes between two frames that are searched for the second
_SAME = 0xFFFE_0C00  # bits of a header that do not change within a stream: version, layer, rate

Bytes = bytes | mmap.mmap | memoryview


@dataclass(frozen=True)
class Frame:
    """A frame's header: its size in bytes, samples of each channel, and rate in Hz."""

    size: int
    n_samples: int
    rate: int


def read_frame(header: int) -> Frame | None:
    """Return what a header of four bytes says; None if it is none, or of free format."""
    version, layer = header >> 19 & 3, 4 - (header >> 17 & 3)
    bitrate, rate_at, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
    if header >> 21 != 0x7FF or version == 1 or layer == 4 or bitrate in (0, 15) or rate_at == 3:
        return None
    kbps = (_KBPS_1 if version == _MPEG_1 else _KBPS_2)[layer][bitrate]
    rate = _RATES[version][rate_at]
    if layer == 1:
        return Frame((12_000 * kbps // rate + padding) * 4, 384, rate)
    n_samples = 576 if layer == 3 and version != _MPEG_1 else 1152
    return Frame(n_samples * 125 * kbps // rate + padding, n_samples, rate)


@dataclass(frozen=True)
class MpegStream:
    """The frames of a file.

    Attributes:
        spans: (start, end) of each run of frames that follow each other.
        n_frames: in them, the one that states the count left out.
        n_promised: frames that this one states; None without it.
        header: of the first frame.
        damaged_at_s: where bytes between two frames are none; None if there is no such place.
    """

    spans: tuple[tuple[int, int], ...]
    n_frames: int
    n_promised: int | None
    header: int
    damaged_at_s: float | None

    @property
    def frame_s(self) -> float:
        frame = read_frame(self.header)
        assert frame is not None
        return frame.n_samples / frame.rate

    @property
    def is_something_else(self) -> bool:
        """Whether so few frames were found before other bytes that they were found by chance."""
        return self.damaged_at_s is not None and self.n_frames < _FEW

    def check(self) -> None:
        """Raise AudioError, without the file's name, if frames are missing."""
        if self.damaged_at_s is not None:
            raise AudioError(
                f"damaged after {self.damaged_at_s:.1f} s: what follows is no MPEG audio; copy or "
                "record it again"
            )
        if self.n_promised is not None and self.n_frames + 1 < self.n_promised:
            raise AudioError(
                f"truncated: holds {self.n_frames * self.frame_s:.1f} of "
                f"{self.n_promised * self.frame_s:.1f} s; copy or record it again"
            )


def find_frames(data: Bytes, start: int = 0, end: int | None = None) -> MpegStream | None:
    """Return the frames between two offsets, None if this is no MPEG audio.

    It is MPEG audio where two frames of the same kind follow each other near the beginning, or one
    alone fills the file.
    """
    end = len(data) if end is None else end
    at = first = _first_frame(data, start, end)
    if first is None or at is None:
        return None
    kind = _word(data, first) & _SAME
    sizes: dict[int, int] = {}
    spans: list[tuple[int, int]] = []
    n_frames, span_start, damaged_at = 0, at, None
    while at + 4 <= end:
        word = _word(data, at)
        size = sizes.get(word)
        if size is None:
            frame = read_frame(word) if word & _SAME == kind else None
            size = sizes[word] = 0 if frame is None else frame.size
        if size and at + size <= end:
            n_frames, at = n_frames + 1, at + size
            continue
        if at > span_start:
            spans.append((span_start, at))
        following = _next_frame(data, at, end, kind)
        if following is None or (damaged_at is not None and n_frames >= _FEW):
            break
        if following != _skip_tags(data, at, end) and damaged_at is None:
            damaged_at = n_frames
        at = span_start = following
    if at > span_start and (not spans or spans[-1][1] != at):
        spans.append((span_start, at))
    rest = _skip_tags(data, at, end)
    if damaged_at is None and rest + _MAX_JUNK < end and not _is_padding(data, rest, end):
        damaged_at = n_frames
    return _without_count(data, spans, n_frames, damaged_at)


def _without_count(
    data: Bytes, spans: list[tuple[int, int]], n_frames: int, damaged_at: int | None
) -> MpegStream:
    """Return the stream without the frame that states the count, if it begins with one."""
    start, end = spans[0]
    header = _word(data, start)
    frame = read_frame(header)
    assert frame is not None
    n_promised = _stated_count(bytes(data[start : start + frame.size]), header)
    if n_promised is not None:
        n_frames -= 1
        spans = [(start + frame.size, end), *spans[1:]]
    if n_promised is not None and n_promised >= _NO_COUNT:
        n_promised = 0
    damaged_at_s = None if damaged_at is None else damaged_at * frame.n_samples / frame.rate
    return MpegStream(tuple(spans), n_frames, n_promised or None, header, damaged_at_s)


def _stated_count(frame: bytes, header: int) -> int | None:
    """Return the count in a Xing, Info or VBRI frame, 0 if it leaves it out, None if it is none."""
    at = 4 + _side_info(header)
    if frame[at : at + 4] in (b"Xing", b"Info"):
        has_count = len(frame) >= at + 12 and frame[at + 7] & 1
        return int.from_bytes(frame[at + 8 : at + 12], "big") if has_count else 0
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big")
    return None


def _side_info(header: int) -> int:
    is_mono = header >> 6 & 3 == 3
    if header >> 19 & 3 == _MPEG_1:
        return 17 if is_mono else 32
    return 9 if is_mono else 17


def _count_frame(header: int, n_frames: int) -> bytes:
    """Return a frame that states how many follow, as LAME writes it for constant bitrates."""
    at = 4 + _side_info(header)
    for bitrate in range(1, 15):
        word = header & ~(0xF << 12 | 1 << 9) | 1 << 16 | bitrate << 12  # no padding, no CRC
        frame = read_frame(word)
        if frame is not None and frame.size >= at + 12:
            break
    else:
        raise AssertionError("every rate has a bitrate with room for the count")
    tag = word.to_bytes(4, "big") + bytes(at - 4) + b"Info" + (1).to_bytes(4, "big")
    return (tag + n_frames.to_bytes(4, "big")).ljust(frame.size, b"\0")


def _first_frame(data: Bytes, start: int, end: int) -> int | None:
    """Return where the first frame begins: behind tags and at most _MAX_JUNK other bytes."""
    begin = _skip_tags(data, start, end)
    for at in range(begin, min(begin + _MAX_JUNK, end - 3)):
        if data[at] != 0xFF:
            continue
        frame = read_frame(_word(data, at))
        if frame is None:
            continue
        follower = at + frame.size
        if follower == end or (
            follower + 4 <= end
            and (_word(data, follower) ^ _word(data, at)) & _SAME == 0
            and read_frame(_word(data, follower)) is not None
        ):
            return at
    return None


def _next_frame(data: Bytes, start: int, end: int, kind: int) -> int | None:
    """Return where two frames of this kind, or a last one, follow after a gap."""
    at = _skip_tags(data, start, end)
    end_of_gap = min(end, at + _MAX_GAP)
    while (at := _next_sync(data, at, end_of_gap)) >= 0:
        word = _word(data, at)
        frame = read_frame(word) if word & _SAME == kind else None
        if frame is not None:
            follower = at + frame.size
            if follower == end or (follower + 4 <= end and _word(data, follower) & _SAME == kind):
                return at
        at += 1
    return None


def _next_sync(data: Bytes, start: int, end: int) -> int:
    """Return the next offset of a byte 0xFF that three bytes follow, -1 if there is none."""
    if isinstance(data, memoryview):
        raise TypeError("search in bytes or a mapped file")
    return data.find(b"\xff", start, max(start, end - 3))


def _skip_tags(data: Bytes, at: int, end: int) -> int:
    """Return the offset behind the ID3 and APE tags that begin here."""
    while at < end:
        mark = bytes(data[at : at + 10])
        if mark[:3] == b"ID3" and len(mark) == 10 and max(mark[6:]) < 0x80:
            at += 10 + (mark[6] << 21 | mark[7] << 14 | mark[8] << 7 | mark[9])
            at += 10 * (mark[5] >> 4 & 1)  # a footer
        elif mark[:8] == b"APETAGEX" and at + 32 <= end:
            size, flags = _little(data, at + 12), _little(data, at + 20)
            at += 32 + size if flags >> 29 & 1 else 32  # a header, or the footer alone
        elif mark[:3] == b"TAG":
            at += 227 if mark[:4] == b"TAG+" else 128
        else:
            break
    return min(at, end)


def _is_padding(data: Bytes, start: int, end: int) -> bool:
    """Tell whether all bytes are zero: what an encoder puts behind the last frame."""
    step = 1 << 16
    return not any(any(data[at : min(at + step, end)]) for at in range(start, end, step))


def _word(data: Bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _little(data: Bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


class MpegFile(io.RawIOBase):
    """A stream's frames as one file: a frame that states their count, then all of them."""

    def __init__(self, data: Bytes, stream: MpegStream) -> None:
        pieces = [memoryview(data)[start:end] for start, end in stream.spans]
        if stream.header >> 17 & 3 == _LAYER_3:
            pieces.insert(0, memoryview(_count_frame(stream.header, stream.n_frames)))
        self._pieces = pieces
        self._size = sum(map(len, pieces))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        start = 0
        for piece in self._pieces:
            if start <= self._at < start + len(piece):
                part = piece[self._at - start :][: len(buffer)]
                buffer[: len(part)] = part
                self._at += len(part)
                return len(part)
            start += len(piece)
        return 0

    def close(self) -> None:
        for piece in self._pieces:
            piece.release()
        self._pieces = []
        super().close()
