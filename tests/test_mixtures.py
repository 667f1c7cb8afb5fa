"""Mixtures and codecs: what is heard of an event, and that mixtures are repeatable."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from listen_edge.audio.codecs import CODECS, Codec, through_codec
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.train.augmentation import Recording
from listen_edge.train.datasets import Row
from listen_edge.train.excerpts import Excerpt, excerpts
from listen_edge.train.mixtures import Event, Mixture, draw_mixtures

RATE = 16_000


def _row(folder: Path, name: str, samples: np.ndarray) -> Row:
    path = folder / f"{name}.wav"
    soundfile.write(path, samples, RATE, "FLOAT")
    return Row(path, (name,))


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    rng = np.random.default_rng(0)
    time = np.arange(3 * RATE) / RATE
    return [
        _row(tmp_path, "beep", 0.3 * np.sin(2 * np.pi * 1000 * time)),
        _row(tmp_path, "hiss", rng.normal(0, 0.1, RATE // 2)),
        _row(tmp_path, "rain", rng.normal(0, 0.02, 4 * RATE)),
    ]


def test_a_mixture_does_not_depend_on_how_many_are_drawn(rows: list[Row]) -> None:
    few, many = draw_mixtures(rows, 3, seed=1), draw_mixtures(rows, 6, seed=1)
    assert few == many[:3]
    assert many != draw_mixtures(rows, 6, seed=2)
    np.testing.assert_array_equal(few[2].samples(RATE), many[2].samples(RATE))
    json.dumps([mixture.described() for mixture in many])


def test_all_kinds_of_mixtures_are_drawn_and_stay_in_range(rows: list[Row]) -> None:
    mixtures = draw_mixtures(rows, 300, seed=0)
    assert {len(mixture.events) for mixture in mixtures} == {1, 2, 3, 4}
    assert {mixture.background for mixture in mixtures} == {None, rows[2]}
    assert {mixture.codec for mixture in mixtures} >= {None, "gsm", "g711-a"}
    assert any(mixture.recording.room for mixture in mixtures)
    for mixture in mixtures[:12]:
        samples = mixture.samples(RATE)
        assert samples.shape == (RATE,) and samples.dtype == np.float32
        assert 0 < np.abs(samples).max() <= 1


def test_what_is_asked_most_is_in_every_mixture_that_is_made_for_it(rows: list[Row]) -> None:
    mixtures = draw_mixtures(rows, 60, seed=0, asked={"hiss"})
    assert all(mixture.events[0].row.tags == ("hiss",) for mixture in mixtures)
    assert {e.row.tags for mixture in mixtures for e in mixture.events} > {("hiss",)}
    with pytest.raises(ListenEdgeError, match="no recording of siren"):
        draw_mixtures(rows, 1, seed=0, asked={"siren"})


@pytest.mark.parametrize(("place", "start_s"), [(0.0, 0.0), (1.0, 1.5), (0.5, 0.75)])
def test_an_event_is_as_long_as_loud_and_where_it_was_told(
    rows: list[Row], place: float, start_s: float
) -> None:
    event = Event(rows[0], length_s=0.5, place=place, snr_db=20.0)
    mixture = Mixture((event,), rows[2], 0.0, Recording(), -30.0, None, 0)
    samples = mixture.samples(2 * RATE)
    assert 20 * np.log10(samples.std()) == pytest.approx(-30, abs=0.1)
    inside = np.zeros(2 * RATE, bool)
    inside[round(start_s * RATE) :][: RATE // 2] = True
    ratio_db = 20 * np.log10(samples[inside].std() / samples[~inside].std())
    assert ratio_db == pytest.approx(20, abs=0.5)


@pytest.mark.parametrize(
    ("length_s", "snr_db", "is_faint"), [(1.0, 10, False), (1.0, -3, True), (0.25, 20, True)]
)
def test_short_and_masked_events_may_not_be_heard(
    rows: list[Row], length_s: float, snr_db: float, is_faint: bool
) -> None:
    event = Event(rows[0], length_s, 0.5, snr_db)
    mixture = Mixture((event,), rows[2], 0.0, Recording(), -30.0, None, 0)
    assert mixture.faint == (is_faint, False)
    assert mixture.rows == (rows[0], rows[2])
    assert replace(mixture, background=None).faint == (is_faint,)


def test_silence_can_be_mixed(tmp_path: Path) -> None:
    silent = _row(tmp_path, "rain", np.zeros(RATE))
    mixture = Mixture((Event(silent, 60, 0, 0),), silent, 0.0, Recording(), -30, None, 0)
    assert np.isfinite(mixture.samples(RATE)).all()
    assert np.isfinite(replace(mixture, background=None).samples(RATE)).all()


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_keeps_shape_pitch_and_time(name: str) -> None:
    time = np.arange(2 * RATE) / RATE
    samples = np.where(time > 1, 0.3 * np.sin(2 * np.pi * 700 * time), 0).astype(np.float32)
    heard = through_codec(name, samples)
    assert heard.shape == samples.shape and heard.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(heard))
    assert np.argmax(spectrum) * RATE / len(heard) == pytest.approx(700, abs=5)
    onset = np.argmax(np.abs(heard) > 0.15)
    assert onset / RATE == pytest.approx(1.0, abs=0.06)


def test_a_codec_that_libsndfile_does_not_write_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CODECS, "odd", Codec("WAV", "OPUS"))
    expected = "odd: libsndfile .* does not write WAV OPUS .*; run: pip install --upgrade soundfile"
    with pytest.raises(AudioError, match=expected):
        through_codec("odd", np.zeros(RATE, np.float32))


@pytest.mark.parametrize(
    ("seconds", "starts"), [(0.5, [0.0]), (1.0, [0.0]), (2.5, [0.0, 1.0, 1.5])]
)
def test_excerpts_are_the_windows_that_the_engine_takes(
    tmp_path: Path, seconds: float, starts: list[float]
) -> None:
    row = _row(tmp_path, "ramp", np.linspace(0, 1, round(seconds * RATE)))
    found = excerpts(row, window_s=1.0)
    assert [excerpt.start_s for excerpt in found] == pytest.approx(starts)
    assert Excerpt(row, 0.25).samples(RATE)[0] == pytest.approx(0.25 / seconds, abs=1e-3)
    if seconds < 1:
        assert not found[0].samples(RATE)[RATE // 2 :].any()
