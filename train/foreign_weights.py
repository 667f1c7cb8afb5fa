"""Other people's weights, through other people's loaders: none of their chatter, one line of ours.

transformers reports at length what it did not find, loads random numbers in its place, and leaves
errors of safetensors, pickle and its own optional packages as they are.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from listen_edge.errors import BundleError, one_line

REPORTED = {"output_loading_info": True, "ignore_mismatched_sizes": True}  # of from_pretrained
_LENGTH_BYTES = 8  # of a safetensors file's header, little-endian


@contextmanager
def foreign_weights(source: str, expected: str) -> Iterator[None]:
    """Load within: nothing is printed, and whatever fails is a BundleError that names the source.

    Args:
        source: as the user gave it.
        expected: what should be there, such as "the weights of a Whisper".

    Raises:
        BundleError: a file is empty or cut, or the loader within failed.
    """
    check_files(Path(source))
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()):  # bars and warnings
            yield
    except BundleError:
        raise
    except Exception as err:  # a loader of foreign files raises whatever its layers raise
        raise BundleError(
            f"{source}: not {expected} ({one_line(err) or type(err).__name__})"
        ) from err
    finally:
        transformers_logging.set_verbosity(level)


def check_files(source: Path) -> None:
    """Raise BundleError if a file of weights is empty, or a safetensors file is not whole."""
    files = sorted(source.iterdir()) if source.is_dir() else [source] if source.is_file() else []
    for path in files:
        if path.suffix in (".safetensors", ".bin", ".pt", ".gguf") and not path.stat().st_size:
            raise BundleError(f"{path}: the file is empty; copy it again")
        if path.suffix == ".safetensors":
            _check_safetensors(path)


def _check_safetensors(path: Path) -> None:
    """Compare the file's size with what its header promises.

    Source: the layout in safetensors' README.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = file.read(n_header) if _LENGTH_BYTES + n_header <= size else b""
    try:
        tensors = json.loads(header) if header else {}
        ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name[:2] != "__"]
    except (ValueError, LookupError, TypeError, AttributeError) as err:
        raise BundleError(f"{path}: no safetensors file; expected its header") from err
    n_expected = _LENGTH_BYTES + n_header + max(ends, default=0)
    if size < n_expected:
        raise BundleError(
            f"{path}: cut, or no safetensors file: {size} bytes of {n_expected}; copy it again"
        )


def refuse_quantized(source: str, config: Any) -> None:
    """Raise BundleError for weights that are stored quantised by another package."""
    described = getattr(config, "quantization_config", None)
    if described is not None:
        kind = described.get("quant_method", "?") if isinstance(described, dict) else described
        raise BundleError(
            f"{source}: weights quantised by {one_line(kind, 40)}, expected float weights; "
            "save the model dequantised"
        )


def refuse_other_tensors(source: str, report: dict[str, Any], prefix: str = "") -> None:
    """Raise BundleError if transformers found other tensors than the model has.

    It would go on with random weights in their place.

    Args:
        source: as the user gave it.
        report: of from_pretrained with REPORTED.
        prefix: only these count, and what is there beside them is of no interest.
    """
    for what in ("missing", "mismatched", "unexpected"):
        named = sorted(
            name for name in map(_name, report[f"{what}_keys"]) if name.startswith(prefix)
        )
        others = sorted(map(_name, report["unexpected_keys"])) if what == "missing" else []
        if named and not (prefix and what == "unexpected"):
            there = f"; it holds {', '.join(others[:2])} ..." if others else ""
            raise BundleError(f"{source}: {what} tensors: {', '.join(named[:3])}{there}")


def _name(key: Any) -> str:
    return str(key[0] if isinstance(key, tuple) else key)  # of a mismatch the shapes come behind
