"""A head's run that is killed after seven steps and started again: it must end as a whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from listen_edge.prompt import Prompt
from listen_edge.train import head_loop
from listen_edge.train.head_config import HeadConfig
from listen_edge.train.head_loop import train_head


def train_killed_head(
    config: HeadConfig, folder: Path, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train until seven steps are done, die, and train again to the end."""
    take_step = head_loop._Run._take_step

    def killed_at_seven(self: head_loop._Run) -> float:
        if self._step == 7:
            raise KeyboardInterrupt
        return take_step(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(head_loop._Run, "_take_step", killed_at_seven)
        train_head(config, folder, prompt)
    train_head(config, folder, prompt)
