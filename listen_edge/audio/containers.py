"""What a container's header says of its length, and whether the file keeps that promise.

WAV, RF64, BW64, Wave64, AIFF, AU, CAF, VOC and SPHERE state how many bytes of sound follow. A
recorder that could not go back to its header leaves a placeholder there, one that died leaves
nothing. The file is untrusted: nothing is read past its end, and no stated size is allocated.

Source: EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), Sony's Wave64, Apple's AIFF-C and CAF,
Creative's VOC, NIST's SPHERE; ISO/IEC 13818-1 (packets) and -7 (ADTS); the placeholders are those
of arecord, ffmpeg, SoX and GStreamer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from listen_edge.audio.mp3 import read_frame

HEAD_BYTES = 12  # that tell what a file is
CHAIN_BYTES = 8192  # that tell frames without a header from PCM
_KINDS = {
    b"RIFF": "a WAV or AVI file",
    b"RIFX": "a WAV file",
    b"RF64": "an RF64 file",
    b"BW64": "a BW64 file",
    b"riff": "a Wave64 file",
    b"FORM": "an AIFF file",
    b".snd": "an AU file",
    b"caff": "a CAF file",
    b"fLaC": "a FLAC file",
    b"OggS": "an Ogg file",
    b"ID3": "an MP3 file",
    b"\x1aE\xdf\xa3": "a Matroska or WebM file",
    b"0&\xb2u": "a WMA file",
    b"wvpk": "a WavPack file",
    b"#!AMR": "an AMR file",
    b"NIST_1A": "a SPHERE file",
    b"Creative Voi": "a VOC file",
}
MPEG_TAGS = (0x50, 0x55)  # of a WAV that holds MPEG audio
_PLACEHOLDERS = (0x7F00_0000, 0x7FFF_FFFF, 0xFFFF_FFFF)  # 32 bits; a header's size may be added
_NEAR = 1 << 16
_OPEN_64 = 1 << 62  # a 64-bit size from here on is no size
_SLACK = 64  # bytes that writers miscount
_MAX_CHUNKS = 4096
_MAX_DIGITS = 18  # of a number
_MAX_BYTES_PER_S = 1e9
_VOC_SOUND = (1, 9)  # kinds of blocks
_GUID_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


@dataclass(frozen=True)
class Container:
    """Where a container's sound lies.

    Attributes:
        offset: of the first byte of sound.
        n_held: bytes of sound that the file holds from there on.
        n_promised: bytes that the header states; None where it leaves the length open.
        is_unfinished: the header was never completed, sound lies behind it.
        bytes_per_s: of the sound; None where the header does not say.
        patches: (offset, bytes) that make the header true for a reader that believes it.
        codec: WAV's format tag; None elsewhere.
        n_frames: frames that the header states, where it states no bytes.
    """

    offset: int
    n_held: int
    n_promised: int | None
    is_unfinished: bool = False
    bytes_per_s: float | None = None
    patches: tuple[tuple[int, bytes], ...] = ()
    codec: int | None = None
    n_frames: int | None = None

    @property
    def is_cut_short(self) -> bool:
        return self.n_promised is not None and self.n_held + _SLACK < self.n_promised

    @property
    def n_sound(self) -> int:
        """Bytes of sound to read: without the chunks that follow it."""
        return self.n_held if self.n_promised is None else min(self.n_held, self.n_promised)


def container_kind(head: bytes) -> str | None:
    """Return what kind of file begins with these HEAD_BYTES or more, None for none that is known.

    Frames of MPEG, ADTS or a transport stream are known by CHAIN_BYTES.
    """
    if head[4:8] == b"ftyp":
        return "an MP4 or M4A file"
    kinds = (kind for magic, kind in _KINDS.items() if head.startswith(magic))
    return next(kinds, None) or next((k for k in _FRAMES if _is_chain(head, k)), None)


def may_be_frames(head: bytes) -> bool:
    """Tell whether a frame may begin here; PCM does seldom, and a chain of them never."""
    return any(size_at(head, 0) for size_at in _FRAMES.values())


def _is_chain(head: bytes, kind: str) -> bool:
    at = n_frames = 0
    while at + 7 <= len(head):
        size = _FRAMES[kind](head, at)
        if not size:
            return False
        at, n_frames = at + size, n_frames + 1
    return n_frames >= _MIN_FRAMES


def _mpeg_size(head: bytes, at: int) -> int:
    frame = read_frame(int.from_bytes(head[at : at + 4], "big"))
    return 0 if frame is None else frame.size


def _adts_size(head: bytes, at: int) -> int:
    (word,) = struct.unpack(">Q", head[at : at + 7].ljust(8, b"\0"))
    is_sync = word >> 52 == 0xFFF and not word >> 49 & 3
    size = word >> 21 & 0x1FFF
    return size if is_sync and size > 7 else 0


def _packet_size(head: bytes, at: int) -> int:
    return 188 if head[at : at + 1] == b"G" else 0


_FRAMES = {"an MP3 file": _mpeg_size, "an AAC file": _adts_size, "a transport stream": _packet_size}
_MIN_FRAMES = 3


def read_container(file: BinaryIO, n_bytes: int) -> Container | None:
    """Return what the header says, None for another format or a header that is cut.

    Args:
        file: at any position; left at any.
        n_bytes: size of the file.
    """
    file.seek(0)
    magic = file.read(20)
    try:
        if magic[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and magic[8:12] == b"WAVE":
            return _read_wav(file, n_bytes, magic[:4])
        if magic[:12] == b"riff" + bytes.fromhex("2e91cf11a5d628db"):
            return _read_wave64(file, n_bytes)
        if magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
            return _read_aiff(file, n_bytes)
        if magic[:4] == b".snd":
            return _read_au(file, n_bytes)
        if magic[:4] == b"fLaC":
            return _read_flac(file, n_bytes)
        if magic[:4] == b"caff":
            return _read_caf(file, n_bytes)
        if magic == b"Creative Voice File\x1a":
            return _read_voc(file, n_bytes)
        if magic[:8] == b"NIST_1A\n":
            return _read_sphere(file, n_bytes)
    except struct.error:  # the file ends within its header
        return None
    return None


def _chunks(
    file: BinaryIO, n_bytes: int, start: int, header: str, pad: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, offset of the contents, size) of each chunk, as its header states it."""
    at = start
    for _ in range(_MAX_CHUNKS):
        if at + struct.calcsize(header) > n_bytes:
            return
        name, size = _unpack(file, at, header)
        contents = at + struct.calcsize(header)
        yield name, contents, size
        at = contents + size + (-size) % pad


def _read_wav(file: BinaryIO, n_bytes: int, magic: bytes) -> Container | None:
    end = ">" if magic == b"RIFX" else "<"
    codec, bytes_per_s, size_64, patches = None, None, None, []
    if magic == b"BW64":  # the same layout under another name
        patches.append((0, b"RF64"))
    for name, at, size in _chunks(file, n_bytes, 12, f"{end}4sI", 2):
        if name == b"ds64":
            (size_64,) = _unpack(file, at + 8, "<Q")
            size_64_at = at + 8
        elif name == b"fmt ":
            codec, _, _, bytes_per_s = _unpack(file, at, f"{end}HHII")
        elif name == b"data":
            n_held = n_bytes - at
            if size_64 is not None and size == 0xFFFF_FFFF:
                size = size_64 if size_64 < _OPEN_64 else n_held
                is_unfinished = _holds_more(file, n_bytes, at + size, f"{end}4sI", bytes_per_s)
                n_promised = None if is_unfinished or size_64 >= _OPEN_64 else size
                if n_promised is None:
                    patches.append((size_64_at, struct.pack("<Q", n_held)))
            else:
                is_unfinished = _holds_more(file, n_bytes, at + size, f"{end}4sI", bytes_per_s)
                n_promised = None if is_unfinished or _is_open(size, n_held) else size
                if is_unfinished:
                    patches.append((at - 4, struct.pack(f"{end}I", min(n_held, 0xFFFF_FFFF))))
            return Container(
                at, n_held, n_promised, is_unfinished, bytes_per_s, tuple(patches), codec
            )
    return None


def _holds_more(
    file: BinaryIO, n_bytes: int, end: int, header: str, bytes_per_s: float | None
) -> bool:
    """Tell whether sound goes on behind the end that a header states: it was never finished.

    A chain of whole chunks is no sound, unless it holds another recording; nor is a tenth of a
    second of anything.
    """
    if end + max(_SLACK, 0.1 * (bytes_per_s or 0)) >= n_bytes:
        return False
    at = end + end % 2
    for name, contents, size in _chunks(file, n_bytes, at, header, 2):
        is_name = name.isascii() and name.decode("ascii").isprintable()
        if not is_name or name in (b"RIFF", b"RF64", b"FORM", b"data", b"SSND"):
            return True
        at = contents + size + size % 2
    return not at - 1 <= n_bytes <= at + _SLACK


def _read_wave64(file: BinaryIO, n_bytes: int) -> Container | None:
    bytes_per_s = None
    at = 40
    for _ in range(_MAX_CHUNKS):
        if at + 24 > n_bytes:
            return None
        name, size = _unpack(file, at, "<16sQ")
        if name == b"fmt " + _GUID_TAIL:
            (bytes_per_s,) = _unpack(file, at + 32, "<I")
        elif name == b"data" + _GUID_TAIL:
            n_held = n_bytes - at - 24
            n_promised = size - 24 if 24 < size < _OPEN_64 else None
            is_unfinished = size < 24 and n_held > 0
            return Container(at + 24, n_held, n_promised, is_unfinished, bytes_per_s)
        at += max(24, size) + (-size) % 8
    return None


def _read_aiff(file: BinaryIO, n_bytes: int) -> Container | None:
    bytes_per_s, n_stated, n_channels, n_bits, comm = None, None, 1, 16, 0
    patches: list[tuple[int, bytes]] = []
    for name, at, size in _chunks(file, n_bytes, 12, ">4sI", 2):
        if name == b"COMM":
            comm = at
            n_channels, n_frames, n_bits, exponent, mantissa = _unpack(file, at, ">hIhHQ")
            doubled = (exponent & 0x7FFF) - 16383
            rate = mantissa * 2.0 ** (doubled - 63) if 0 <= doubled < 64 else 0.0
            bytes_per_s = _plausible(rate * n_channels * ((n_bits + 7) // 8))
            n_stated = n_frames
        elif name == b"SSND":
            n_held = max(0, n_bytes - at - 8)
            is_unfinished = (size <= 8 or n_stated == 0) and n_held > 0
            if _holds_more(file, n_bytes, at + max(8, size), ">4sI", bytes_per_s):
                is_unfinished = True
                n_frames = n_held // max(1, n_channels * ((n_bits + 7) // 8))
                patches = [(comm + 2, struct.pack(">I", min(n_frames, 0xFFFF_FFFF)))]
                patches += [(at - 4, struct.pack(">I", min(n_held + 8, 0xFFFF_FFFF)))]
            n_promised = None if is_unfinished or _is_open(size - 8, n_held) else size - 8
            return Container(at + 8, n_held, n_promised, is_unfinished, bytes_per_s, tuple(patches))
    return None


def _read_au(file: BinaryIO, n_bytes: int) -> Container | None:
    widths = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
    offset, size, encoding, rate, n_channels = _unpack(file, 4, ">5I")
    n_held = max(0, n_bytes - offset)
    width = widths.get(encoding)
    bytes_per_s = None if width is None else _plausible(width * rate * n_channels)
    is_unfinished = n_held > size + max(_SLACK, 0.1 * (bytes_per_s or 0))
    n_promised = None if is_unfinished or _is_open(size, n_held) else size
    patches = ((8, b"\xff\xff\xff\xff"),) if n_promised is None else ()
    return Container(offset, n_held, n_promised, is_unfinished, bytes_per_s, patches)


def _read_caf(file: BinaryIO, n_bytes: int) -> Container | None:
    bytes_per_s = None
    for name, at, size in _chunks(file, n_bytes, 8, ">4sQ", 1):
        if name == b"desc":
            rate, _, _, packet, n_frames = _unpack(file, at, ">d4sIII")
            bytes_per_s = _plausible(rate * packet / n_frames) if n_frames else None
        elif name == b"data":
            n_held = max(0, n_bytes - at - 4)
            is_unfinished = _holds_more(file, n_bytes, at + size, ">4sQ", bytes_per_s)
            n_promised = size - 4 if 4 <= size < _OPEN_64 and not is_unfinished else None
            patches = ((at - 8, struct.pack(">Q", n_held + 4)),) if n_promised is None else ()
            return Container(at + 4, n_held, n_promised, is_unfinished, bytes_per_s, patches)
    return None


def _read_flac(file: BinaryIO, n_bytes: int) -> Container:
    """The count of samples is taken out of the header: a reader that believes it ends there."""
    kind_and_size, counts = *_unpack(file, 4, ">I"), *_unpack(file, 18, ">Q")
    has_info = kind_and_size >> 24 & 0x7F == 0
    n_frames = counts & 0xF_FFFF_FFFF if has_info else 0
    patches = ((18, struct.pack(">Q", counts & ~0xF_FFFF_FFFF)),) if n_frames else ()
    return Container(0, n_bytes, None, patches=patches, n_frames=n_frames or None)


def _read_voc(file: BinaryIO, n_bytes: int) -> Container:
    """A recording is one block; another may follow, which SoX misses by three bytes."""
    (at,) = _unpack(file, 20, "<H")
    kind, low, high = _unpack(file, at, "<BHB")
    size = low | high << 16
    is_stated = kind in _VOC_SOUND and 0 < size < 0xFF_FFFF
    return Container(at + 4, n_bytes - at - 4, size if is_stated else None)


def _read_sphere(file: BinaryIO, n_bytes: int) -> Container | None:
    """Lines of text state how many samples follow, and of what size."""
    file.seek(8)
    size = file.read(8).strip()
    n_header = int(size) if size.isdigit() else 1024
    if n_header > n_bytes:
        return None
    file.seek(16)
    fields = (line.split() for line in file.read(min(n_header, 1 << 16)).splitlines())
    stated = [f for f in fields if len(f) == 3 and f[1] == b"-i" and f[2].isdigit()]
    numbers = {name: int(digits[:_MAX_DIGITS]) for name, _, digits in stated}
    n_samples, rate = numbers.get(b"sample_count"), numbers.get(b"sample_rate", 0)
    width = numbers.get(b"channel_count", 1) * numbers.get(b"sample_n_bytes", 2)
    n_promised = n_samples * width if n_samples else None
    return Container(n_header, n_bytes - n_header, n_promised, bytes_per_s=_plausible(rate * width))


def _plausible(bytes_per_s: float) -> float | None:
    """Return a rate of bytes that a recording can have, None for any other."""
    return float(bytes_per_s) if 0 < bytes_per_s < _MAX_BYTES_PER_S else None


def _is_open(size: int, n_held: int) -> bool:
    """Tell whether a 32-bit size that the file does not hold is a placeholder."""
    return n_held < size and any(abs(size - value) <= _NEAR for value in _PLACEHOLDERS)


def _unpack(file: BinaryIO, at: int, layout: str) -> tuple[Any, ...]:
    file.seek(at)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
