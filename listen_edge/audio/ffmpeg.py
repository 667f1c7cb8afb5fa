"""Sound through an ffmpeg process: what libsndfile does not read, and streams from elsewhere.

ffmpeg says on stderr, and not by its exit code, that a file is cut or damaged: its lines are read
with their severity. It writes AU, whose short header states rate and channels.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import NDArray

from listen_edge.environment import own_environment
from listen_edge.errors import AudioError
from listen_edge.printable import printable
from listen_edge.urls import without_secrets_of

_AU_HEADER = struct.Struct(">4s5I")
_SEVERITY = re.compile(r"\[(error|fatal|panic|warning)\] (.*)")
_DAMAGED = re.compile(r"corrupt|partial|premature|truncat|invalid data|missing|exhausted", re.I)
_HARMLESS = re.compile(r"non monotonically increasing dts")  # of a chain of streams
_FORMATS = (  # that hold a recording themselves: concat, hls and their like name other files
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,apc,asf,asf_o,ast,au,avi,avr,caf,dsf,dss,dts,dtshd,dv,eac3,"
    "epaf,flac,flv,gxf,hca,hcom,iff,ircam,iss,ivf,kux,loas,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,"
    "mpegts,msf,mxf,nistsphere,nut,nuv,ogg,oma,pva,pvf,qcp,rm,rso,sbc,shn,smjpeg,sox,spdif,svs,swf,"
    "tak,truehd,tta,voc,vqf,w64,wav,wsd,wtv,wv,xa,xwma"
)
_OTHER_FORMAT = re.compile(r"Format not on whitelist")
_OF_PICTURES = re.compile(r"^\[(?:mjpeg|png|gif|bmp|h26\w+|hevc|vp\d|av1|mpeg\dvideo|theora)")
_SEVERAL = re.compile(r"only one stream|exactly one stream|one audio stream", re.I)
_NO_SOUND = re.compile(r"matches no streams|does not contain any stream")
_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
_CODEC = re.compile(r"Stream #\S+ Audio: (\w+)")
_SPEECH_CODECS = (
    *("gsm", "gsm_ms", "amrnb", "amr_nb", "amrwb", "amr_wb", "speex", "g723_1", "g729"),
    *("ilbc", "evrc", "qcelp", "sipr", "truespeech", "dss_sp", "codec2", "libcodec2"),
)
_VARIABLES = (  # that it finds its libraries, words, certificates and proxy by
    *("PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "no_proxy"),
)
_IS_ESTIMATED = "Estimating duration from bitrate"
_MISSING_S, _MISSING_SHARE = 0.5, 0.02  # of the stated duration that containers round away
_MAX_WORDS = 160  # characters of ffmpeg's message
_MAX_HEADER = 1 << 16


def require_ffmpeg(program: str = "ffmpeg") -> None:
    """Raise AudioError, without a file's name, unless ffmpeg is installed."""
    if shutil.which(program) is None:
        raise AudioError(
            "libsndfile does not read this format, and ffmpeg, which may, is not installed; "
            "run: apt-get install ffmpeg"
        )


@dataclass(frozen=True)
class Bounds:
    """What a process may take: a header of 4 kB can ask for gigabytes, and for hours.

    Attributes:
        n_bytes: of memory; the index of a day of AAC takes 100 MB.
        cpu_s: of compute time; None: any.
        turn: waited for before it starts, and held until it has ended.
    """

    n_bytes: int = 512 << 20
    cpu_s: int | None = None
    turn: Callable[[], AbstractContextManager[object]] = nullcontext

    def hold(self, process: int) -> None:
        """Bind a process from now on; where the system cannot, it is not bound."""
        if not hasattr(resource, "prlimit"):
            return
        with suppress(ProcessLookupError):
            resource.prlimit(process, resource.RLIMIT_DATA, (self.n_bytes, self.n_bytes))
            if self.cpu_s is not None:
                resource.prlimit(process, resource.RLIMIT_CPU, (self.cpu_s, self.cpu_s))


class FfmpegRecording:
    """A recording that ffmpeg decodes, at its own rate and channels; see Recording.

    Args:
        file: open for reading; may be closed once this object is made.
        program: the ffmpeg to run.
        bounds: of its process; None: those of Bounds.

    Raises:
        AudioError: ffmpeg is missing, or cannot decode it.
    """

    def __init__(
        self, file: BinaryIO, program: str = "ffmpeg", *, bounds: Bounds | None = None
    ) -> None:
        require_ffmpeg(program)
        bounds = bounds or Bounds()
        with _DescriptorPath(file) as name, ExitStack() as running:
            running.enter_context(bounds.turn())
            limits = ["-protocol_whitelist", "file", "-format_whitelist", _FORMATS]
            self._decoder = Ffmpeg([*limits, "-i", name], program, tracks="0:a", bounds=bounds)
            running.callback(self._decoder.close)
            try:
                self.rate, self.n_channels = self._decoder.read_header()
            except AudioError as err:
                raise AudioError(f"cannot be decoded: {err}") from err
            self._running = running.pop_all()
        self.is_speech_codec = self._decoder.is_speech_codec()
        self._n_read = 0

    def read(self, n_frames: int) -> NDArray[np.float32]:
        block = self._decoder.read_frames(n_frames)
        self._n_read += len(block)
        if len(block) == 0:
            self._decoder.check_end(self._n_read / self.rate)
        return block

    @property
    def n_seekable(self) -> int | None:
        return None

    def seek(self, frame: int) -> None:
        raise NotImplementedError("what a pipe brings is not sought in")

    def close(self) -> None:
        self._running.close()


class _DescriptorPath:
    """A name by which another process opens this file, though it may have none on disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = os.dup(file.fileno())

    def __enter__(self) -> str:
        return f"file:/proc/{os.getpid()}/fd/{self._descriptor}"

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)


class Ffmpeg:
    """A running ffmpeg that decodes a sound track of an input to float32 frames.

    Args:
        source: the options before and with `-i`.
        program: the ffmpeg to run.
        tracks: ffmpeg's `-map`: the first one, or all, of which there may be but one.
        bounds: of its process.
    """

    def __init__(
        self,
        source: Sequence[str],
        program: str = "ffmpeg",
        *,
        tracks: str = "0:a:0",
        bounds: Bounds,
    ) -> None:
        command = [program, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"]
        command += ["-filter_threads", "1", "-threads", "1"]  # their stacks count as memory
        command += [*source, "-map", tracks, "-c:a", "pcm_f32be", "-f", "au", "-"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # frames are handed on as they come
            env=own_environment(*_VARIABLES),
            start_new_session=True,  # Ctrl-C is for the listener, which ends this one
        )
        bounds.hold(self._process.pid)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._words = _Words(self._process.stderr, hidden=source[-1])
        self._n_channels = 1

    def read_header(self) -> tuple[int, int]:
        """Wait for the first bytes and return (rate in Hz, number of channels).

        Raises:
            AudioError: there is no sound, or nothing that ffmpeg decodes.
        """
        header = self._read_exactly(_AU_HEADER.size)
        if len(header) < _AU_HEADER.size:
            raise AudioError(self.why_ended())
        _, offset, _, _, rate, self._n_channels = _AU_HEADER.unpack(header)
        assert offset <= _MAX_HEADER
        self._read_exactly(offset - _AU_HEADER.size)
        return rate, self._n_channels

    def is_speech_codec(self) -> bool:
        """Tell, once there is a header, whether the input was coded as a voice, see Recording."""
        return self._words.codec() in _SPEECH_CODECS

    def read_frames(self, n_frames: int) -> NDArray[np.float32]:
        """Return the next frames (n, n_channels); none at the end."""
        width = 4 * self._n_channels
        data = self._read_exactly(n_frames * width)
        n_whole = len(data) // width * width
        samples = np.frombuffer(data[:n_whole], ">f4").astype(np.float32)
        return samples.reshape(-1, self._n_channels)

    def _read_exactly(self, n_bytes: int) -> bytes:
        """Return the next bytes, fewer at the end only."""
        assert self._process.stdout is not None
        data = bytearray()
        while len(data) < n_bytes and (more := self._process.stdout.read(n_bytes - len(data))):
            data += more
        return bytes(data)

    def check_end(self, held_s: float) -> None:
        """Raise AudioError if what came, held_s long, was not the whole recording."""
        code = self._process.wait()
        if (words := self._words.of_damage()) is not None or code != 0:
            raise AudioError(
                f"damaged or truncated: ffmpeg decoded {held_s:.1f} s and says "
                f"{words or f'exit code {code}'!r}; copy or record it again"
            )
        stated_s = self._words.duration_s()
        if stated_s is not None and held_s < stated_s * (1 - _MISSING_SHARE) - _MISSING_S:
            raise AudioError(
                f"truncated: holds {held_s:.1f} of {stated_s:.1f} s; copy or record it again"
            )

    def why_ended(self) -> str:
        """Wait for the process and return in one line why no more sound comes."""
        return self._words.why_nothing(self._process.wait())

    def kill(self) -> None:
        """End the process: a read that waits for it returns."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and free its pipes. May be called twice."""
        self.kill()
        self._words.close()
        assert self._process.stdout is not None
        self._process.stdout.close()


class _Words:
    """What ffmpeg says on stderr, drained by a thread: a full pipe would stop it."""

    def __init__(self, stderr: IO[bytes], hidden: str) -> None:
        self._hidden = hidden  # a name of ours, or a URL with its password
        self._said: list[tuple[str, str]] = []  # (severity, message)
        self._duration_s: float | None = None
        self._codec: str | None = None
        self._has_pictures = False
        self._has_codec = threading.Event()
        self._thread = threading.Thread(target=self._drain, args=(stderr,), daemon=True)
        self._thread.start()

    def why_nothing(self, code: int) -> str:
        """Return in one line why no sound came; `code` is ffmpeg's exit status."""
        self.close()
        if any(_NO_SOUND.search(message) for _, message in self._said):
            return "has no sound track"
        if any(_SEVERAL.search(message) for _, message in self._said):
            return (
                "holds several sound tracks, of which one would be heard; take one out with "
                "`ffmpeg -i FILE -map 0:a:1 OUT.flac`"
            )
        if any(_OTHER_FORMAT.search(message) for _, message in self._said):
            return "is in no format of recordings"
        said = [message for severity, message in self._said if severity != "warning"]
        return f"ffmpeg ended with code {code} ({said[-1] if said else 'it does not say why'})"

    def of_damage(self) -> str | None:
        """Return the first line that tells of sound that was not decoded, None without one."""
        self.close()
        for severity, message in self._said:
            is_told = severity != "warning" or _DAMAGED.search(message)
            if is_told and not _HARMLESS.search(message):
                return message
        return None

    def duration_s(self) -> float | None:
        """Return the duration that the container states for its sound.

        None if it is an estimate or missing, or that of a longer picture.
        """
        self.close()
        is_estimated = any(_IS_ESTIMATED in message for _, message in self._said)
        return None if is_estimated or self._has_pictures else self._duration_s

    def codec(self) -> str | None:
        """Return ffmpeg's name of the input's codec; it stands in a line before any sound."""
        self._has_codec.wait(timeout=1)
        return self._codec

    def close(self) -> None:
        self._thread.join(timeout=1)

    def _drain(self, stderr: IO[bytes]) -> None:
        with stderr:
            for line in stderr:
                text = line.decode(errors="replace").strip().replace(f"{self._hidden}: ", "")
                text = printable(without_secrets_of(self._hidden, text))
                if _OF_PICTURES.search(text):
                    continue  # a cover's, or a film's
                if found := _SEVERITY.search(text):
                    if len(self._said) < 100:
                        self._said.append((found[1], found[2][:_MAX_WORDS]))
                elif self._codec is None and (found := _CODEC.search(text)):
                    self._codec = found[1]
                    self._has_codec.set()
                elif "Video: " in text:
                    self._has_pictures = True
                elif found := _DURATION.search(text):
                    hours, minutes, seconds = found.groups()
                    self._duration_s = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
