"""Tag recordings with any tagger: a TFLite or ONNX model of waveforms -> a table of soft tags.

The model takes one window of mono samples at 16 kHz and gives a probability of each class; windows
are taken at half their length, and a class has its highest probability of all windows. The table is
what training reads as soft tags (train/datasets/soft_tags.py).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listen_edge.audio import read_audio
from listen_edge.errors import AudioError, BackendError, MissingExtraError
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.replacing import replacing
from listen_edge.train.datasets.row import audio_index, read_table
from listen_edge.train.datasets.soft_tags import COLUMNS

LEAST = 0.01  # probabilities below are not written
_WINDOW_S = 5.0  # of a model that takes any length

Scores = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Tagger:
    """A loaded tagger.

    Attributes:
        n_samples: of a window.

    Args:
        model: .tflite (needs ai-edge-litert) or .onnx (needs onnxruntime), with one input of
            n_samples or 1 x n_samples float32 and one output of the classes' probabilities.
        classes: CSV with the column display_name, in the order of the output.
        n_threads: of the model.

    Raises:
        BackendError: no such model, or one with other inputs or another number of classes.
        MissingExtraError: what runs it is not installed.
    """

    def __init__(self, model: Path, classes: Path, n_threads: int = 1) -> None:
        self.classes = [row["display_name"] for row in read_table(classes, ("display_name",))]
        if not model.is_file():
            raise BackendError(f"{model}: no such tagger; expected a .tflite or .onnx file")
        load = {".tflite": _load_tflite, ".onnx": _load_onnx}.get(model.suffix)
        if load is None:
            raise BackendError(f"{model}: expected a .tflite or .onnx file")
        self._scores, self.n_samples = load(model, n_threads)
        n_found = len(self._scores(np.zeros(self.n_samples, np.float32)))
        if n_found != len(self.classes):
            raise BackendError(
                f"{model}: gives {n_found} probabilities, {classes} names {len(self.classes)} "
                "classes; expected the list that the model was published with"
            )

    def __call__(self, samples: NDArray[np.float32]) -> dict[str, float]:
        """Return the highest probability of each class, of LEAST and more, the likeliest first.

        Args:
            samples: shape (n_samples,), mono at 16 kHz, of any length.
        """
        n = self.n_samples
        n_windows = max(1, 1 + -(-(len(samples) - n) // (n // 2)))
        padded = np.zeros(n + (n_windows - 1) * (n // 2), np.float32)
        padded[: len(samples)] = samples
        windows = [padded[k * (n // 2) :][:n] for k in range(n_windows)]
        highest = np.max([self._scores(window) for window in windows], axis=0)
        order = np.argsort(-highest, kind="stable")
        return {self.classes[k]: float(highest[k]) for k in order if highest[k] >= LEAST}


def tag_folder(folder: Path, tagger: Tagger, target: Path) -> Iterator[tuple[Path, int | None]]:
    """Write the tags of every recording below a folder; yield each with how many tags it got.

    A recording that cannot be read is left out and yields None. The table is written whole or not
    at all, gzipped if its name ends in .gz.

    Raises:
        AudioError: no recording there, or the table cannot be written.
    """
    files = sorted(audio_index(folder).values())
    if not files:
        raise AudioError(f"{folder}: no recordings in it; expected WAV, FLAC, Ogg, Opus or MP3")
    opener: Any = gzip.open if target.suffix == ".gz" else open
    try:
        with (
            replacing(target) as temporary,
            opener(temporary, "wt", encoding="utf-8", newline="") as file,
        ):
            table = csv.writer(file, delimiter="\t", lineterminator="\n")
            table.writerow(COLUMNS)
            for path in files:
                yield path, _write_tags(table, path, tagger)
    except OSError as err:
        raise AudioError(f"{target}: cannot be written ({err.strerror})") from err


def _write_tags(table: Any, path: Path, tagger: Tagger) -> int | None:
    try:
        tags = tagger(read_audio(path))
    except AudioError:
        return None
    table.writerows((path.name, name, f"{value:.3f}") for name, value in tags.items())
    return len(tags)


def _load_tflite(model: Path, n_threads: int) -> tuple[Scores, int]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as err:
        raise MissingExtraError("ai-edge-litert", "tag") from err
    try:
        interpreter = Interpreter(model_path=str(model), num_threads=n_threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as err:
        raise BackendError(f"{model}: not a TFLite model ({err})") from err
    (given, *others), outputs = interpreter.get_input_details(), interpreter.get_output_details()
    shape = _waveform_shape(model, given["shape"].tolist(), n_inputs=1 + len(others))

    def scores(window: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.set_tensor(given["index"], window.reshape(shape))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(outputs[0]["index"]), np.float32).reshape(-1)

    return scores, shape[-1]


def _load_onnx(model: Path, n_threads: int) -> tuple[Scores, int]:
    try:
        import onnxruntime
    except ImportError as err:
        raise MissingExtraError("onnxruntime", "cpu") from err
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    try:
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime's errors share no class of their own
        raise BackendError(f"{model}: not an ONNX model ({str(err).splitlines()[0]})") from err
    inputs, output = session.get_inputs(), session.get_outputs()[0].name
    shape = _waveform_shape(model, inputs[0].shape, n_inputs=len(inputs))

    def scores(window: NDArray[np.float32]) -> NDArray[np.float32]:
        found = session.run([output], {inputs[0].name: window.reshape(shape)})[0]
        return np.asarray(found, np.float32).reshape(-1)

    return scores, shape[-1]


def _waveform_shape(model: Path, shape: Sequence[int | str], n_inputs: int) -> tuple[int, ...]:
    """Return the input's shape, (n,) or (1, n); a length left open is five seconds."""
    sizes = [size if isinstance(size, int) and size > 1 else 1 for size in shape[:-1]]
    last = shape[-1] if shape else None
    if n_inputs != 1 or not 1 <= len(shape) <= 2 or any(size != 1 for size in sizes):
        raise BackendError(
            f"{model}: {n_inputs} inputs, the first of shape {list(shape)}; "
            "expected one waveform of shape (n,) or (1, n)"
        )
    n = last if isinstance(last, int) and last > 1 else round(_WINDOW_S * SAMPLE_RATE)
    return (*sizes, n)
