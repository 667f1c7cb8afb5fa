"""Is the source alive? A state machine that knows the time and nothing of audio.

    healthy ──nothing for silent_after_s──> alarmed ──a tick later──> recovering ──restarts fail──┐
      ^  └──────── the source says it is lost ──────────────────────────^   │                     │
      └──────────────── frames arrive (from any state) ────────────────────┴───── failed <────────┘

Restarts in `recovering` come with back-off; in `failed` they go on slowly, for ever, and each says
so. From any state `mute` leads to `muted`, where nothing is expected, and `unmute` to `recovering`.

Source: the states, the tick and the 30 s are BirdNET-Go's, which learnt them from cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

from listen_edge.errors import ListenEdgeError
from listen_edge.lines.health import SourceState


@dataclass(frozen=True)
class LivenessConfig:
    """How long nothing may come, in seconds, and what is done then."""

    silent_after_s: float = 30.0
    tick_s: float = 10.0
    backoffs_s: tuple[float, ...] = (1.0, 5.0, 15.0)
    slow_retry_s: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.silent_after_s <= 3600:
            raise ListenEdgeError(f"--stall-timeout {self.silent_after_s:g}: expected 1 to 3600 s")


class Liveness:
    """The state of one source.

    Args:
        config: see LivenessConfig.
        now_s: any clock that only goes forward; all methods take it.
    """

    def __init__(self, config: LivenessConfig, now_s: float) -> None:
        self.state: SourceState = "healthy"
        self.message: str | None = None
        self.n_restarts = 0
        self._config = config
        self._last_frames_s = now_s
        self._restart_at_s: float | None = None
        self._n_attempts = 0

    def heard(self, now_s: float) -> bool:
        """Frames arrived; return whether that changed the state."""
        self._last_frames_s = now_s
        if self.state == "healthy":
            return False
        self.state, self.message = "healthy", f"listening again, after {self._attempts()}"
        self._restart_at_s, self._n_attempts = None, 0
        return True

    def lost(self, now_s: float, why: str) -> None:
        """The source said that it is gone."""
        self.message = why
        backoffs = self._config.backoffs_s
        if self._n_attempts >= len(backoffs):
            self.state = "failed"
            wait_s = self._config.slow_retry_s
            self.message += f"; {self._attempts()} failed, trying again every {wait_s:g} s"
        else:
            self.state = "alarmed" if self.state == "healthy" else "recovering"
            wait_s = backoffs[self._n_attempts]
        self._restart_at_s = now_s + wait_s

    def mute(self) -> None:
        """The source was closed and is to stay so."""
        self.state, self.message = "muted", "muted: the device is closed"
        self._restart_at_s, self._n_attempts = None, 0

    def unmute(self, now_s: float) -> None:
        """The source is being opened again."""
        self.state, self.message = "recovering", "unmuted: opening the source again"
        self._last_frames_s = now_s

    def tick(self, now_s: float) -> bool:
        """Return whether the source is to be opened again now."""
        if self.state == "muted":
            return False
        silent_s = now_s - self._last_frames_s
        if self._restart_at_s is None:
            if silent_s < self._config.silent_after_s:
                return False
            if self.state == "healthy":
                self.state, self.message = "alarmed", f"no audio for {silent_s:.0f} s"
                self._restart_at_s = now_s + self._config.tick_s
            else:  # a restart that brought nothing
                self.lost(now_s, f"no audio for {silent_s:.0f} s")
            return False
        if now_s < self._restart_at_s:
            return False
        self._restart_at_s, self._last_frames_s = None, now_s
        self._n_attempts += 1
        self.n_restarts += 1
        if self.state == "alarmed":
            self.state = "recovering"
        self.message = f"opening the source again, attempt {self._n_attempts}"
        return True

    def _attempts(self) -> str:
        return "1 restart" if self._n_attempts == 1 else f"{self._n_attempts} restarts"
