"""Training state on disk: safetensors, written whole or not at all, with the run's config beside.

`adapter.safetensors` is the result; `checkpoint.safetensors` adds the optimiser's state, so that a
run killed at any step goes on from its last checkpoint to the same result.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from listen_edge.errors import BundleError, ListenEdgeError, one_line
from listen_edge.replacing import replacing
from listen_edge.train.adapter import Adapter, AdapterConfig

ADAPTER_FILE = "adapter.safetensors"
CHECKPOINT_FILE = "checkpoint.safetensors"
CONFIG_FILE = "config.json"
TRAINED_FILE = "trained.json"


@dataclass(frozen=True)
class Progress:
    """Where a run stands: steps done in each phase."""

    warm_step: int = 0
    step: int = 0


def save_adapter(folder: Path, adapter: Adapter) -> None:
    """Write `adapter.safetensors` with its config in the file's metadata."""
    metadata = {"config": json.dumps(asdict(adapter.config))}
    save_tensors(folder / ADAPTER_FILE, dict(adapter.state_dict()), metadata)


def load_adapter(path: Path) -> Adapter:
    """Return the adapter of a run's folder or of an `adapter.safetensors`, in evaluation mode.

    Raises:
        BundleError: missing, damaged or not an adapter.
    """
    path = path / ADAPTER_FILE if path.is_dir() else path
    tensors, metadata = load_tensors(path)
    try:
        fields = json.loads(metadata["config"])
        adapter = Adapter(AdapterConfig(**{**fields, "taps": tuple(fields["taps"])}))
        adapter.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as err:
        raise BundleError(
            f"{path}: not an adapter written by listen-edge train ({one_line(err)})"
        ) from err
    return adapter.eval()


def copy_adapter(path: Path, adapter: Adapter) -> None:
    """Fill the adapter with the weights of another run's.

    Raises:
        BundleError: missing, damaged or an adapter of another config.
    """
    source = load_adapter(path)
    if source.config != adapter.config:
        raise BundleError(
            f"{path}: an adapter with {source.config}, expected {adapter.config}; "
            "train it with the same taps and sizes"
        )
    adapter.load_state_dict(source.state_dict())


def save_checkpoint(
    folder: Path, adapter: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write weights, optimiser state and progress."""
    tensors = {f"adapter.{name}": tensor for name, tensor in adapter.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(v) for name, v in state.items()}
    save_tensors(folder / CHECKPOINT_FILE, tensors, {"progress": json.dumps(asdict(progress))})


def load_checkpoint(
    folder: Path, adapter: nn.Module, optimizer: torch.optim.Optimizer
) -> Progress | None:
    """Fill adapter and optimiser from the last checkpoint; None if there is none."""
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    tensors, metadata = load_tensors(path)
    try:
        adapter.load_state_dict(_under(tensors, "adapter"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(tensors, "optimizer").items():
            index, field = name.split(".", 1)
            state.setdefault(int(index), {})[field] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        return Progress(**json.loads(metadata["progress"]))
    except (KeyError, TypeError, RuntimeError) as err:
        raise BundleError(f"{path}: not a checkpoint of this run ({one_line(err)})") from err


def refuse_other_run(folder: Path, config: dict[str, Any]) -> None:
    """Check that the folder is new or holds the same run.

    Raises:
        ListenEdgeError: the folder holds a run with another config.
    """
    path = folder / CONFIG_FILE
    if path.exists() and path.read_text() != _describe(config):
        raise ListenEdgeError(
            f"{folder}: holds a run with another config; choose another --out or delete it"
        )


def write_config(folder: Path, config: dict[str, Any], trained: dict[str, Any]) -> None:
    """Make the run's folder with its config, once everything it names has been read.

    Args:
        trained: what the run trains on and asks about, for evaluations to tell seen from unseen.

    Raises:
        ListenEdgeError: the folder cannot be written.
    """
    for name, described in ((TRAINED_FILE, trained), (CONFIG_FILE, config)):
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_text(_describe(described))
        except OSError as err:
            raise ListenEdgeError(f"{path}: cannot be written ({err.strerror})") from err


def _describe(config: dict[str, Any]) -> str:
    return json.dumps(config, indent=1, sort_keys=True)


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors whole or not at all.

    Raises:
        ListenEdgeError: the file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            save_file({n: t.contiguous().cpu() for n, t in tensors.items()}, temporary, metadata)
    except (OSError, SafetensorError) as err:
        raise ListenEdgeError(
            f"{path}: cannot be written ({one_line(err)}); free some space"
        ) from err


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a file's tensors and metadata.

    Raises:
        BundleError: missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, SafetensorError) as err:
        raise BundleError(f"{path}: missing or damaged ({one_line(err)}); train again") from err
