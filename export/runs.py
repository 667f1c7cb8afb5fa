"""Finished training runs, as an export reads them: an LLM's adapter, and a head beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from listen_edge.errors import BundleError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.prompt import Prompt
from listen_edge.train.adapter import Adapter
from listen_edge.train.backbones import WhisperTaps, load_whisper_encoder
from listen_edge.train.checkpoint import CONFIG_FILE, TRAINED_FILE, load_adapter
from listen_edge.train.ears import EARS_FILE, Trained, llm_adapter, load_ears
from listen_edge.train.head_config import HeadConfig


@dataclass(frozen=True)
class HeadRun:
    """What a run of train-head left."""

    config: HeadConfig
    trained: Trained


@dataclass(frozen=True)
class TrainedParts:
    """What a training run left: its config, the frozen encoder and the trained adapter.

    Attributes:
        trained: labels of the recordings trained on, and every concept asked about.
        head: the question head that was trained on the same adapter, None for none.
    """

    run: dict[str, Any]
    trained: dict[str, Any]
    prompt: Prompt
    taps: WhisperTaps
    adapter: Adapter
    n_samples: int
    head: HeadRun | None = None


def trained_parts(run_dir: Path) -> TrainedParts:
    """Read a finished training run; one of train-head if the LLM took part in it.

    Raises:
        BundleError: the folder holds none, or parts of it are missing.
    """
    path = run_dir / CONFIG_FILE
    head = read_head_run(run_dir) if (run_dir / EARS_FILE).is_file() else None
    if head is not None and head.trained.ears.to_llm is None:
        raise BundleError(
            f"{run_dir}: a run of train-head without opinion_scenes, whose adapter no LLM can "
            "read; give a run of train, and this one as --head"
        )
    try:
        run = json.loads(path.read_text())
        trained = json.loads((run_dir / TRAINED_FILE).read_text())
        return TrainedParts(
            run=run,
            trained={"labels": [], **trained},
            prompt=Prompt.from_json(run["prompt"]),
            taps=WhisperTaps(load_whisper_encoder(run["whisper"]), run["taps"], run["frame_pool"]),
            adapter=load_adapter(run_dir) if head is None else llm_adapter(head.trained.ears),
            n_samples=round(run["window_s"] * SAMPLE_RATE),
            head=head,
        )
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise BundleError(f"{path}: not a training run ({err}); run listen-edge train") from err


def read_head_run(folder: Path) -> HeadRun:
    """Return a run of train-head.

    Raises:
        BundleError: the folder holds none.
    """
    path = folder / CONFIG_FILE
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
        fields.pop("prompt", None)
        for name, value in fields.items():
            fields[name] = tuple(value) if isinstance(value, list) else value
        config = HeadConfig(**fields)
    except (OSError, ValueError, TypeError) as err:
        raise BundleError(f"{path}: not a run of train-head ({err})") from err
    return HeadRun(config, load_ears(folder))


def head_run_beside(parts: TrainedParts, folder: Path) -> HeadRun:
    """Return a run of train-head, which must read the same taps as the LLM's adapter.

    Raises:
        BundleError: it does not, there is none, or the LLM's run has a head of its own.
    """
    if parts.head is not None:
        raise BundleError(f"--head {folder}: the run has a head of its own; leave out --head")
    run = read_head_run(folder)
    ours = parts.run["taps"], parts.run["frame_pool"], parts.run["window_s"]
    theirs = [*run.config.taps], run.config.frame_pool, run.config.window_s
    n_query = parts.adapter.config.n_query
    if (*ours, n_query) != (*theirs, run.config.n_query):
        raise BundleError(
            f"{folder}: taps, frame_pool, window_s and n_query {(*theirs, run.config.n_query)}, "
            f"the LLM's adapter has {(*ours, n_query)}; train it with the same"
        )
    return run
