"""What the doctor says of a microphone's level, and of one that delivers nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest

from listen_edge.errors import AudioError
from listen_edge.runtime.measure import doctor
from listen_edge.runtime.measure.doctor import Check
from listen_edge.runtime.sources import Block

RATE = 48_000


class FakeSource:
    """Delivers blocks, then nothing, or an error."""

    name, is_live = "fake", True

    def __init__(self, blocks: Sequence[Block], error: AudioError | None = None) -> None:
        self.blocks, self.error, self.n_closed = list(blocks), error, 0

    def open(self) -> None:
        pass

    def read(self, timeout_s: float) -> Block | None:
        if self.blocks:
            return self.blocks.pop(0)
        if self.error is not None:
            raise self.error
        return None

    def close(self) -> None:
        self.n_closed += 1


def tone(amplitude: float, seconds: float = 2.0) -> np.ndarray:
    """A sine of 1 kHz on two channels (n_frames, 2); of amplitude 1 it has -3.0 dBFS."""
    tone = amplitude * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([tone, tone], axis=1).astype(np.float32)


def blocks(samples: np.ndarray, *, overflow_at: int | None = None) -> list[Block]:
    pieces = np.array_split(samples, len(samples) // (RATE // 10))
    return [Block(p, RATE, time.monotonic(), k == overflow_at) for k, p in enumerate(pieces)]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (tone(0.1), ("ok", "-23.0 dBFS in 1.5 s at 48000 Hz, 2 channels", None)),
        (
            tone(0),
            (
                "problem",
                "digital silence in 1.5 s at 48000 Hz, 2 channels; every answer would be unknown "
                "(silent_input)",
                "unmute or plug in the microphone, or choose another with --device",
            ),
        ),
        (
            np.where(tone(1) >= 0, 1, -1).astype(np.float32),
            (
                "problem",
                "0.0 dBFS in 1.5 s at 48000 Hz, 2 channels; more than 5% of the samples are at "
                "full scale",
                "turn the gain down",
            ),
        ),
        (
            tone(1e-4),
            (
                "warning",
                "-83.0 dBFS in 1.5 s at 48000 Hz, 2 channels; every answer "
                "would be unknown (inaudible)",
                "turn the gain up",
            ),
        ),
        (tone(0.1, 0.5), ("ok", "-23.0 dBFS in 0.5 s at 48000 Hz, 2 channels", None)),
    ],
    ids=["normal", "silent", "clipped", "quiet", "stops after 0.5 s"],
)
def test_the_level_is_judged(
    monkeypatch: pytest.MonkeyPatch, samples: np.ndarray, expected: tuple[str, str, str | None]
) -> None:
    monkeypatch.setattr(doctor, "GIVE_UP_S", 0.5)
    source = FakeSource(blocks(samples))
    assert doctor.check_level(source) == Check("audio level", *expected)  # type: ignore[arg-type]
    assert source.n_closed == 1


def test_the_level_is_that_of_the_loudest_channel() -> None:
    one_sided = tone(0.1) * np.array([1, 0], np.float32)
    assert doctor.check_level(FakeSource(blocks(one_sided))).found.startswith("-23.0 dBFS")


def test_lost_samples_are_a_problem() -> None:
    check = doctor.check_level(FakeSource(blocks(tone(0.1), overflow_at=4)))
    assert (check.status, check.remedy) == ("problem", "stop what else keeps this device busy")
    assert check.found.endswith("2 channels; samples were lost")


def test_a_source_that_delivers_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "GIVE_UP_S", 0.2)
    source = FakeSource([])
    check = doctor.check_level(source)
    assert (check.status, check.found) == ("problem", "nothing was delivered in 0.2 s")
    assert check.remedy is not None and check.remedy.startswith("plug it in again")
    assert source.n_closed == 1


def test_a_source_that_is_lost_is_closed() -> None:
    source = FakeSource(blocks(tone(0.1, 0.3)), AudioError("USB: the device stopped"))
    with pytest.raises(AudioError, match="USB: the device stopped"):
        doctor.check_level(source)
    assert source.n_closed == 1
