"""Two processes train one adapter, with a copy of the LLM each and with a share of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from listen_edge.train import checkpoint
from listen_edge.train.config import PRESETS, TrainConfig
from listen_edge.train.run_log import read_log

# As the command does, but with a prompt that the random-weight LLM's vocabulary knows.
_SCRIPT = """
import json, sys
from pathlib import Path
from listen_edge.prompt import Prompt
from listen_edge.train.config import TrainConfig
from listen_edge.train.loop import train
fields, prompt, out = json.loads(sys.argv[1])
config = TrainConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
train(config, Path(out), Prompt.from_json(prompt))
"""


def _train_in_two_processes(config: TrainConfig, prompt: object, out: Path) -> None:
    described = json.dumps([asdict(config), asdict(prompt), str(out)])  # type: ignore[call-overload]
    script = out.parent / "script.py"
    script.write_text(_SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*launch, str(script), described],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("preset", ["tiny", "listen-8b"])
def test_two_processes_train_one_adapter(
    train_config: TrainConfig, prompt: object, tmp_path: Path, preset: str
) -> None:
    """listen-8b: the same classes and objectives at a small size; its LLM is sharded."""
    fields = PRESETS[preset]
    kept = {name: fields[name] for name in ("shard_llm", "frame_pool") if name in fields}
    config = replace(train_config, **kept, warm_steps=4, steps=4, accumulate=2)
    _train_in_two_processes(config, prompt, tmp_path / "run")
    log = [line for line in read_log(tmp_path / "run") if "loss" in line]
    assert [line["step"] for line in log if line["phase"] == "main"] == [1, 2, 3, 4]
    weights = checkpoint.load_adapter(tmp_path / "run").state_dict()
    assert all(torch.isfinite(weight).all() for weight in weights.values())
