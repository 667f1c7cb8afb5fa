"""Windows do not depend on how the sound was cut into blocks, and doubts stay where they belong."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from listen_edge.errors import AudioError
from listen_edge.runtime.listening.window import Feed, Window, WindowBuffer
from listen_edge.runtime.sources import Block

N_WINDOW, N_HOP = 2_000, 400
BLOCK_SIZES = st.lists(st.integers(0, 9_000), min_size=1, max_size=12)


def blocks_of(samples: np.ndarray, sizes: list[int], rate: int = 16_000) -> list[Block]:
    """Cut (n_frames, n_channels) into blocks of these sizes, the last taking the rest."""
    edges = np.minimum(np.cumsum([0, *sizes]), len(samples))
    edges[-1] = len(samples)
    return [Block(samples[a:b], rate, 0.0) for a, b in itertools.pairwise(edges)]


def windows_of(blocks: list[Block], n_window: int = N_WINDOW, n_hop: int = N_HOP) -> list[Window]:
    feed = Feed(n_window, n_hop)
    return [w for block in blocks for w in feed.push(block)] + feed.finish()


@given(n_samples=st.integers(1_600, 12_000), sizes=BLOCK_SIZES)
def test_any_block_size_gives_the_same_windows(n_samples: int, sizes: list[int]) -> None:
    samples = np.arange(n_samples, dtype=np.float32) / 12_000
    windows = windows_of(blocks_of(samples[:, None], sizes))
    ends = [*range(N_WINDOW, n_samples + 1, N_HOP)]
    if not ends or ends[-1] != n_samples:
        ends.append(n_samples)  # the last window ends where the stream ends
    assert [w.start + len(w.samples) for w in windows] == ends
    for window in windows:
        assert len(window.samples) == min(N_WINDOW, n_samples)
        np.testing.assert_array_equal(
            window.samples[:, 0], samples[window.start : window.start + N_WINDOW]
        )


def test_less_than_a_tenth_of_a_second_is_no_window() -> None:
    samples = np.ones((1_599, 1), np.float32)
    assert windows_of(blocks_of(samples, [1_599])) == []


def test_windows_know_their_place_in_the_stream() -> None:
    feed = Feed(N_WINDOW, N_HOP, begin_s=10.0)
    first, second = feed.push(Block(np.ones((2_400, 1), np.float32), 16_000, 7.5))
    assert (first.begin_s, first.end_s) == (10.0, 10.125)
    assert (second.begin_s, second.received_s) == (10.025, 7.5)


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 9_000), min_size=1, max_size=8))
def test_the_streaming_resampler_does_not_see_the_blocks(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    stereo = rng.normal(0, 0.1, (24_000, 2)).astype(np.float32)
    (whole,) = windows_of(blocks_of(stereo, [], 48_000) or [Block(stereo, 48_000, 0.0)], 8_000, 800)
    (cut,) = windows_of(blocks_of(stereo, sizes, 48_000), 8_000, 800)
    np.testing.assert_allclose(cut.samples, whole.samples, atol=1e-6)
    expected = soxr.resample(stereo, 48_000, 16_000)
    np.testing.assert_allclose(whole.samples[100:-100], expected[100:-100], atol=1e-3)


def test_a_buffer_is_as_long_as_its_window_however_long_the_stream() -> None:
    buffer = WindowBuffer(N_WINDOW, N_HOP)
    n_windows = sum(len(buffer.push(np.ones((997, 1), np.float32))) for _ in range(100))
    assert buffer.n_seen == 99_700 and n_windows == (99_700 - N_WINDOW) // N_HOP + 1
    assert buffer._ring.size == N_WINDOW


def test_channels_that_come_and_go_are_repeated() -> None:
    mono, stereo = np.full((N_WINDOW, 1), 0.1, np.float32), np.full((N_HOP, 2), 0.2, np.float32)
    stereo[:, 1] = 0.3
    feed = Feed(N_WINDOW, N_HOP)
    windows = [w for part in (mono, stereo, mono) for w in feed.push(Block(part, 16_000, 0.0))]
    assert windows[0].samples.shape == (N_WINDOW, 1)
    mixed = windows[1].samples
    assert mixed.shape == (N_WINDOW, 2)
    np.testing.assert_array_equal(mixed[:-N_HOP], np.float32(0.1))
    np.testing.assert_array_equal(mixed[-N_HOP:], stereo)


@pytest.mark.parametrize(
    ("rate", "doubt"), [(4_000, "narrow_band"), (8_000, "narrow_band"), (11_025, None)]
)
def test_a_low_rate_is_doubted(rate: int, doubt: str | None) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (rate, 1)).astype(np.float32)
    assert {w.doubt for w in windows_of([Block(noise, rate, 0.0)])} == {doubt}


def test_an_overflow_is_doubted_in_the_windows_that_hold_it_and_no_other() -> None:
    feed = Feed(N_WINDOW, N_HOP)
    calm = [Block(np.ones((N_HOP, 1), np.float32), 16_000, 0.0) for _ in range(20)]
    calm[9] = Block(calm[9].samples, 16_000, 0.0, has_overflowed=True)  # at sample 3,600
    windows = [w for block in calm for w in feed.push(block)]
    doubtful = [w.start for w in windows if w.doubt == "overflow"]
    assert doubtful == [2_000, 2_400, 2_800, 3_200, 3_600]
    assert all(w.doubt is None for w in windows if w.start not in doubtful)


@pytest.mark.parametrize("rate", [8_000, 16_000])
@pytest.mark.parametrize("n_blocks", [1, 40])
def test_windows_that_hold_some_of_a_codec_for_speech_say_so(rate: int, n_blocks: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (12 * N_WINDOW * rate // 16_000, 1))
    pieces = np.array_split(noise.astype(np.float32), 3 * n_blocks)
    feed = Feed(N_WINDOW, N_HOP)
    windows = []
    for k, piece in enumerate(pieces):
        block = Block(piece, rate, 0.0, is_speech_codec=n_blocks <= k < 2 * n_blocks)
        windows += feed.push(block)
    doubtful = {w.start for w in windows if w.doubt == "speech_codec"}
    n_delay = 1_300 if rate != 16_000 else 0  # of the resampler, 80 ms
    first, end = 3 * N_WINDOW, 8 * N_WINDOW
    held = {w.start for w in windows if first < w.start < end - n_delay}
    assert held <= doubtful
    assert doubtful <= {w.start for w in windows if first - n_delay <= w.start <= end}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e4, -1e38])
def test_what_is_not_finite_is_doubted_and_does_not_stay_in_the_resampler(bad: float) -> None:
    feed = Feed(1_600, 800)
    samples = np.random.default_rng(0).normal(0, 0.1, (48_000, 1)).astype(np.float32)
    samples[5_000] = bad
    blocks = blocks_of(samples, [480] * 100, 48_000)
    windows = [w for block in blocks for w in feed.push(block)]
    assert all(np.isfinite(w.samples).all() for w in windows)
    assert {w.doubt for w in windows} == {None, "damaged" if np.isfinite(bad) else "not_finite"}
    assert windows[-1].doubt is None


def test_an_impossible_or_changing_rate_is_refused() -> None:
    with pytest.raises(AudioError, match="100 Hz"):
        Feed(N_WINDOW, N_HOP).push(Block(np.zeros((10, 1), np.float32), 100, 0.0))
    feed = Feed(N_WINDOW, N_HOP)
    feed.push(Block(np.zeros((10, 1), np.float32), 16_000, 0.0))
    with pytest.raises(AudioError, match="changed from 16000 to 48000"):
        feed.push(Block(np.zeros((10, 1), np.float32), 48_000, 0.0))
