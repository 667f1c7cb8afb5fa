"""Mixtures: one to four events over a background, as a telephone or a cheap microphone hears them.

Events last from 0.2 s to the whole window and lie anywhere in it; their levels are told over the
background, measured where they sound. Mixture k is a function of the seed and k alone, so that a
cache of encoded mixtures (train/tap_cache.py) grows without being made again. Imports no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.audio.codecs import CODECS, through_codec
from listen_edge.audio.level import LOUDEST_S, loudest_rms
from listen_edge.errors import ListenEdgeError
from listen_edge.evaluation.far_field import noise, put_in_room, room_bank
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.train.augmentation import Recording, apply, draw_recording
from listen_edge.train.datasets import Row

Samples = NDArray[np.float32]

# Labels of recordings that may sound all the time behind others.
BACKGROUNDS = frozenset(
    [
        *("speech", "person speaking", "man speaking", "woman speaking", "radio chatter"),
        *("person speaking spanish", "person speaking russian", "person speaking french"),
        *("person speaking italian", "public address announcement", "stadium crowd"),
        *("background music", "piano playing", "choir singing", "orchestra", "drum loop"),
        *("city traffic", "people in a restaurant", "people in a tavern", "inside a train"),
        *("quiet room tone", "cave ambience", "airplane cabin noise", "factory machinery"),
        *("machine humming", "washing machine", "vacuum cleaner", "clothes dryer"),
        *("food sizzling", "wind", "wind blowing", "rain", "heavy rain", "ocean waves"),
        *("waterfall", "water flowing", "birds chirping", "crickets chirping"),
    ]
)
_MIN_EVENT_S = 0.2
_N_EVENTS = (0.45, 0.3, 0.15, 0.1)  # shares of mixtures with one to four
_SNR_DB = (-5.0, 25.0)  # of each event over the background
_FAINT_DB, _FAINT_S = 2.0, 0.35  # below, a listener may miss an event
_QUIET_SNR_DB = (20.0, 45.0)  # where nothing but a microphone's noise is behind it
_WITH_BACKGROUND, _WITH_NOISE = 0.5, 0.25  # shares; the rest is quiet
_IN_A_ROOM, _CODED, _WHOLE = 0.35, 0.25, 0.4
_N_ROOMS = 96
_MAX_SHIFT = 1_000_000  # samples that a background is turned by


@dataclass(frozen=True)
class Event:
    """A recording, or a part of it, at a place in the window.

    Attributes:
        row: the recording.
        length_s: how much of it is heard, around its loudest part.
        place: where in the window it lies, 0 at its start and 1 at its end.
        snr_db: over the background, both measured where they are loudest.
    """

    row: Row
    length_s: float
    place: float
    snr_db: float

    @property
    def is_faint(self) -> bool:
        """Tell whether it may be too faint or short to be heard for what it is."""
        return self.snr_db < _FAINT_DB or self.length_s < _FAINT_S


@dataclass(frozen=True)
class Mixture:
    """A window of events over a background.

    Attributes:
        events: in no order.
        background: what sounds all the time; None for noise.
        noise_slope_db: of that noise, dB per octave.
        recording: the room that the events are in, and the microphone; its background is unused.
        level_dbfs: RMS level of the result.
        codec: a key of CODECS, None for none.
        seed: of the noise and the background's part.
    """

    events: tuple[Event, ...]
    background: Row | None
    noise_slope_db: float
    recording: Recording
    level_dbfs: float
    codec: str | None
    seed: int

    @property
    def rows(self) -> tuple[Row, ...]:
        """All recordings that are heard."""
        background = () if self.background is None else (self.background,)
        return (*(event.row for event in self.events), *background)

    @property
    def faint(self) -> tuple[bool, ...]:
        """Of each of `rows`, whether it may not be heard."""
        return tuple(event.is_faint for event in self.events) + (False,) * (
            self.background is not None
        )

    def described(self) -> object:
        """Return what the samples depend on, for JSON."""
        return [
            [[e.row.path.name, e.row.path.stat().st_size, e.length_s, e.place, e.snr_db]
             for e in self.events],
            None if self.background is None else self.background.path.name,
            self.noise_slope_db, asdict(self.recording), self.level_dbfs, self.codec, self.seed,
        ]  # fmt: skip

    def samples(self, n_samples: int) -> Samples:
        """Return the window, shape (n_samples,), in [-1, 1].

        Raises:
            AudioError: a recording cannot be read.
        """
        window = np.zeros(n_samples, np.float32)
        for event in self.events:
            _add(window, event)
        if self.recording.room is not None:
            level = np.sqrt(np.mean(np.square(window)))
            window = put_in_room(window, self.recording.room)
            window *= level / max(float(np.sqrt(np.mean(np.square(window)))), 1e-9)
        window += self._background(n_samples)
        window *= 10 ** (self.level_dbfs / 20) / max(float(window.std()), 1e-9)
        window = apply(self.recording_without_room, window)
        return window if self.codec is None else through_codec(self.codec, window)

    @property
    def recording_without_room(self) -> Recording:
        """The microphone alone."""
        heard = self.recording
        return Recording(
            low_cut_hz=heard.low_cut_hz, high_cut_hz=heard.high_cut_hz, clip_db=heard.clip_db
        )

    def _background(self, n_samples: int) -> Samples:
        """Return a background of unit level, shape (n_samples,)."""
        if self.background is not None:
            rng = np.random.default_rng(self.seed)
            samples = read_audio(self.background.path)
            samples = np.roll(
                np.resize(samples, max(n_samples, len(samples))), -int(rng.integers(_MAX_SHIFT))
            )
            part = samples[:n_samples]
            if (level := loudest_rms(part)) > 0:
                return np.asarray(part / level, np.float32)
        return noise(n_samples, self.noise_slope_db, self.seed)


def draw_mixtures(
    rows: Sequence[Row], n: int, seed: int, asked: Collection[str] | None = None
) -> list[Mixture]:
    """Return mixtures 0 to n - 1 of these recordings.

    A label is drawn in proportion to the root of how many recordings have it.

    Args:
        rows: all of which may be heard together.
        asked: labels one of which every mixture holds; None: any.
    """
    labels = [row.tags[0] if row.tags else "" for row in rows]
    counts = Counter(labels)
    shares = np.array([counts[label] ** -0.5 for label in labels])
    shares /= shares.sum()
    wanted = shares * [asked is None or label in asked for label in labels]
    if not wanted.any():
        raise ListenEdgeError(f"no recording of {', '.join(sorted(asked or ()))} to mix")
    wanted /= wanted.sum()
    behind = [k for k, label in enumerate(labels) if label in BACKGROUNDS]
    behind_shares = np.array([1 / counts[labels[k]] for k in behind])
    behind_shares /= behind_shares.sum()
    rooms = room_bank(_N_ROOMS, seed)

    def mixture(k: int) -> Mixture:
        rng = np.random.default_rng((seed, k))
        kind = rng.uniform()
        is_quiet = kind >= _WITH_BACKGROUND + _WITH_NOISE
        chosen = rng.choice(len(rows), 1 + int(rng.choice(4, p=_N_EVENTS)), p=shares)
        if asked is not None:
            chosen[0] = rng.choice(len(rows), p=wanted)
        snr_db = _QUIET_SNR_DB if is_quiet else _SNR_DB
        events = tuple(_draw_event(rows[int(row)], rng, snr_db) for row in chosen)
        background = rows[int(rng.choice(behind, p=behind_shares))] if behind else None
        return Mixture(
            events=events,
            background=background if kind < _WITH_BACKGROUND else None,
            noise_slope_db=float(rng.uniform(-6, 0)),
            recording=draw_recording(rng, rooms if rng.uniform() < _IN_A_ROOM else ()),
            level_dbfs=float(rng.uniform(-45, -14)),
            codec=str(rng.choice(sorted(CODECS))) if rng.uniform() < _CODED else None,
            seed=int(rng.integers(2**31)),
        )

    return [mixture(k) for k in range(n)]


def _draw_event(row: Row, rng: np.random.Generator, snr_db: tuple[float, float]) -> Event:
    length_s = float(np.exp(rng.uniform(np.log(_MIN_EVENT_S), np.log(5.0))))
    whole = rng.uniform() < _WHOLE
    return Event(
        row, 60.0 if whole else length_s, float(rng.uniform()), float(rng.uniform(*snr_db))
    )


def _add(window: Samples, event: Event) -> None:
    """Add an event to the window in place."""
    samples = read_audio(event.row.path)
    n = min(round(event.length_s * SAMPLE_RATE), len(window), len(samples))
    loudest = _loudest(samples)
    start = int(np.clip(loudest - n // 2, 0, len(samples) - n))
    part = samples[start : start + n].copy()
    level = loudest_rms(part)
    if level <= 0:
        return
    fade = min(80, n // 2)  # 5 ms, against clicks where a sound was cut
    if start > 0:
        part[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    if start + n < len(samples):
        part[n - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    at = round(event.place * (len(window) - n))
    window[at : at + n] += part * np.float32(10 ** (event.snr_db / 20) / level)


def _loudest(samples: Samples) -> int:
    """Return the middle of the loudest quarter of a second."""
    n = min(round(LOUDEST_S * SAMPLE_RATE), len(samples))
    energy = np.cumsum(np.square(np.append(0, samples), dtype=np.float64))
    return int(np.argmax(energy[n:] - energy[:-n])) + n // 2
