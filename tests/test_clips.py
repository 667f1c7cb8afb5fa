"""The sound of events on disk: what is kept, and that a full disk stops nothing."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from listen_edge.errors import ListenEdgeError
from listen_edge.lines.event import Event
from listen_edge.lines.health import Health
from listen_edge.runtime.listening.clips import MAX_CLIP_S, ClipRecorder
from listen_edge.runtime.listening.listen_config import ListenConfig
from listen_edge.runtime.listening.listener import Listener
from tests.streams import RATE, LevelEngine, ScriptedSource, tone
from tests.test_listener import TRIGGER


def level(start_s: float, seconds: float) -> np.ndarray:
    """Samples whose value is their time in thousandths of full scale."""
    return ((start_s + np.arange(round(seconds * RATE)) / RATE) / 1000).astype(np.float32)[:, None]


def times_of(path: Path) -> tuple[float, float]:
    """Return from when to when the clip goes, by the values of its samples."""
    samples, rate = soundfile.read(path)
    assert rate == RATE
    return samples[0] * 1000, samples[-1] * 1000


def test_a_clip_holds_the_seconds_before_and_after(tmp_path: Path) -> None:
    clips = ClipRecorder(tmp_path, before_s=2.0, after_s=1.0)
    for second in range(20):
        clips.hear(level(second, 1.0))
    path = Path(clips.begin("Siren/../x?", ago_s=3.0))  # at 20 s, of what began at 17 s
    for second in range(20, 25):
        clips.hear(level(second, 1.0))
    clips.end("Siren/../x?")
    for second in range(25, 30):
        clips.hear(level(second, 1.0))
    assert [path] == list(tmp_path.iterdir())
    assert path.name.endswith("Z_siren-x.flac")
    assert times_of(path) == (pytest.approx(15.0, abs=0.05), pytest.approx(26.0, abs=0.05))


def test_a_clip_has_an_end_though_the_event_has_none(tmp_path: Path) -> None:
    clips = ClipRecorder(tmp_path)
    clips.begin("hum", ago_s=0.0)
    for second in range(200):
        clips.hear(level(second, 1.0))
    (path,) = tmp_path.iterdir()
    assert soundfile.info(path).duration == pytest.approx(MAX_CLIP_S, abs=1.0)


def test_two_sources_that_hear_one_sound_at_one_moment_have_a_clip_each(tmp_path: Path) -> None:
    sources = [ClipRecorder(tmp_path) for _ in range(40)]
    names = [clips.begin("siren", ago_s=0.0) for clips in sources]
    for clips in sources:
        clips.close()
    assert sorted(map(str, tmp_path.iterdir())) == sorted(set(names)) and len(set(names)) == 40


def test_what_was_heard_is_its_owners_alone(tmp_path: Path) -> None:
    folder, before = tmp_path / "clips", os.umask(0o022)
    try:
        clips = ClipRecorder(folder)
        path = Path(clips.begin("siren", ago_s=0.0))
        clips.close()
    finally:
        os.umask(before)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (folder, path)] == [0o700, 0o600]


def test_history_is_bounded(tmp_path: Path) -> None:
    clips = ClipRecorder(tmp_path, before_s=5.0, history_s=10.0)
    for second in range(100):
        clips.hear(level(second, 1.0))
    assert sum(len(piece) for piece in clips._history) <= 16 * RATE


def test_what_goes_on_is_written_when_listening_ends(tmp_path: Path) -> None:
    clips = ClipRecorder(tmp_path)
    clips.hear(level(0, 3.0))
    clips.begin("siren", ago_s=1.0)
    clips.close()
    (path,) = tmp_path.iterdir()
    assert soundfile.info(path).duration == 3.0


def test_a_folder_that_cannot_be_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ListenEdgeError, match="--save-clips"):
        ClipRecorder(tmp_path / "file" / "clips")


def test_events_name_their_clips(tmp_path: Path) -> None:
    source = ScriptedSource([tone(3, 0.1), tone(2, 0.9), tone(4, 0.1)], is_live=False)
    config = ListenConfig(trigger=TRIGGER, clips_dir=tmp_path)
    events = [line for line in _listen(source, config) if isinstance(line, Event)]
    (path,) = tmp_path.iterdir()
    assert [event.clip for event in events] == [str(path)] * 2
    samples, _ = soundfile.read(path)
    assert len(samples) == 9 * RATE  # 3 s before (there is no more), 2 s of it, 4 s after
    assert abs(samples[: 3 * RATE - 1] - 0.1).max() < 0.01


def test_a_full_disk_is_a_health_line_and_events_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write)
    twice = [tone(3, 0.1), tone(2, 0.9), tone(9, 0.1), tone(2, 0.9), tone(3, 0.1)]
    config = ListenConfig(trigger=TRIGGER, clips_dir=tmp_path)
    lines = _listen(ScriptedSource(twice, is_live=False), config)
    phases = [line.phase for line in lines if isinstance(line, Event)]
    assert phases == ["start", "end"] * 2
    said = [line.message for line in lines if isinstance(line, Health)]
    assert len(said) == 2 and not list(tmp_path.iterdir())
    assert all(
        (message or "").endswith("_siren.flac: not saved (No space left on device); events go on")
        for message in said
    )


def _listen(source: ScriptedSource, config: ListenConfig) -> list[object]:
    return list(Listener(LevelEngine(), source, ["siren?"], config))  # type: ignore[arg-type]
