"""Windows of one source -> what an engine answers about them, and what it says of unheard ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from listen_edge.audio import level_dbfs
from listen_edge.audio.audibility import is_below
from listen_edge.bundle.opening import open_bundle
from listen_edge.errors import ListenEdgeError
from listen_edge.lines.answer import Answer, Reason
from listen_edge.lines.heard import HeardLine
from listen_edge.runtime.answers import unheard_sounds
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.hear_config import HearConfig
from listen_edge.runtime.listening.window import Window


@dataclass(frozen=True)
class Said:
    """What is said of a window.

    Attributes:
        answers: one a question.
        heard: what was heard in it; None where that is not wanted.
        level_dbfs: of the window, None for digital silence or what was not heard.
        is_gated: it was below the gate, and nothing was asked.
    """

    answers: list[Answer]
    heard: HeardLine | None
    level_dbfs: float | None = None
    is_gated: bool = False


class Answering:
    """Asks an engine about one source.

    Args:
        engine: answers the windows.
        source: name to put into the answers.
        hearing: what to tell of each window beside the answers; None: nothing.
        gate_dbfs: see ListenConfig.

    Attributes:
        questions: what is asked of the next window.

    Raises:
        BundleError: sounds are to be told by a bundle without a question head.
    """

    def __init__(
        self, engine: Engine, source: str, *, hearing: HearConfig | None, gate_dbfs: float | None
    ) -> None:
        if hearing is not None:
            engine.bundle.require_head()
        self.questions: Sequence[str] = ()
        self._engine, self._source = engine, source
        self._hearing, self._gate_dbfs = hearing, gate_dbfs
        self._wanted_bundle: str | None = None

    def of_window(self, window: Window, doubt: Reason | None) -> Said:
        """Answer about a window that was heard; `doubt` is what may hide a sound in it."""
        level, can_gate = level_dbfs(window.samples), doubt in (None, "narrow_band")
        gate_dbfs = self._gate_dbfs
        if can_gate and gate_dbfs is not None and is_below(gate_dbfs, window.samples):
            return self.unheard("below_gate", (window.begin_s, window.end_s), level)
        answers, heard = self._engine.listen_window(
            window.samples,
            self.questions,
            self._hearing,
            start_s=window.begin_s,
            source=self._source,
            doubt=doubt,
        )
        return Said(answers, heard, level)

    def unheard(
        self, reason: Reason, window_s: tuple[float, float], level: float | None = None
    ) -> Said:
        """Say of a stretch that was not listened to why that is; see Engine.unheard."""
        engine, source, heard = self._engine, self._source, None
        answers = engine.unheard(
            self.questions, reason, window_s=window_s, source=source, level=level
        )
        if self._hearing is not None:
            heard = unheard_sounds(
                reason, engine.bundle, window_s=window_s, source=source, level=level
            )
        return Said(answers, heard, level, is_gated=reason == "below_gate")

    def want_bundle(self, name_or_path: str) -> None:
        """Use another bundle's adapter after the next swap. From any thread or signal handler."""
        self._wanted_bundle = name_or_path

    def swap(self) -> str | None:
        """Use the adapter that is wanted, if any, and return what became of it in words."""
        wanted, self._wanted_bundle = self._wanted_bundle, None
        if wanted is None:
            return None
        try:
            bundle = open_bundle(wanted)
            if self._hearing is not None:
                bundle.require_head()
            self._engine.swap_adapter(bundle)
        except ListenEdgeError as err:
            return f"{self._engine.bundle.id} goes on: {err}"
        return f"answers with {self._engine.bundle.id} from now on"
