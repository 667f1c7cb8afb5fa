"""The question head on the device: a window's keys and values x questions -> logits.

The LLM has read each question once (llama/question_encoder.py); its vector becomes a query and a
bias, which are constants. The window's half of the head is in the encoder's graph; the question's
half, the vocabulary's queries and some reference windows lie in the bundle's head file.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listen_edge.errors import BundleError, one_line
from listen_edge.runtime.encoder_session import Encoded

_MAX_KEPT = 4096  # concepts whose constants are kept, beside the vocabulary's
_MAX_BYTES = 1 << 28  # of a head file, unpacked
_AT_ONCE = 32  # reference windows
_ARRAYS = {  # name: number of dimensions
    "mean": 1, "deviation": 1,
    "query.0.weight": 2, "query.0.bias": 1, "query.2.weight": 2, "query.2.bias": 1,
    "bias.0.weight": 2, "bias.0.bias": 1, "bias.2.weight": 2, "bias.2.bias": 1,
    "queries": 2, "biases": 1, "vocabulary": 2,
    "reference_keys": 3, "reference_values": 3, "key_scales": 3, "value_scales": 3,
}  # fmt: skip
VOCABULARY_STEP = 1 / 16  # of the vocabulary's standardised vectors, kept in eight bits

_UNREADABLE = (  # what zipfile, zlib and numpy raise of a file that is not what it says
    ValueError, KeyError, OSError, EOFError, MemoryError, RuntimeError,
    struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip

_erf = np.vectorize(math.erf, otypes=[np.float32])

# Concepts -> question vectors (n, d_vector), see QuestionEncoder.
ReadQuestions = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Questions:
    """The constants of some concepts, arrays of one row each.

    Attributes:
        queries: (n, d_head), scaled.
        biases: (n,).
        usual, deviation: mean and standard deviation of the logit over reference windows, (n,).
        distance: of the question vector to the nearest one of the vocabulary, RMS over
            standardised coordinates, (n,).
    """

    queries: NDArray[np.float32]
    biases: NDArray[np.float32]
    usual: NDArray[np.float32]
    deviation: NDArray[np.float32]
    distance: NDArray[np.float32]


class Head:
    """The head of one bundle.

    Args:
        contents: of the head file.
        vocabulary: concepts whose queries lie in it, in their order.
        read: the LLM's reading of concepts that are not among them.

    Raises:
        BundleError: not a head file, or not of this vocabulary.
    """

    def __init__(
        self, contents: bytes, vocabulary: Sequence[str], read: ReadQuestions | None
    ) -> None:
        self._arrays = _read_arrays(contents)
        self.vocabulary = tuple(vocabulary)
        self._read = read
        self._check_sizes()
        self._reference = [
            self._arrays.pop(f"reference_{name}s") * self._arrays.pop(f"{name}_scales")
            for name in ("key", "value")
        ]
        self._kept: dict[str, int] = {}
        self._known: Questions | None = None

    @property
    def d_head(self) -> int:
        """Width of queries, keys and values."""
        return int(self._arrays["queries"].shape[1])

    def questions(self, concepts: Sequence[str]) -> Questions:
        """Return the constants of concepts; those that are new are read by the LLM."""
        missing = [c for c in dict.fromkeys(concepts) if c not in self._kept]
        if missing:
            self._learn(missing if self._has_room(missing) else [*dict.fromkeys(concepts)])
        assert self._known is not None
        return _rows(self._known, [self._kept[concept] for concept in concepts])

    def _has_room(self, missing: Sequence[str]) -> bool:
        """Forget what is kept where there would be too much of it."""
        if len(self._kept) + len(missing) <= _MAX_KEPT:
            return True
        self._kept, self._known = {}, None
        return False

    def _learn(self, concepts: Sequence[str]) -> None:
        places = {concept: k for k, concept in enumerate(self.vocabulary)}
        others = [concept for concept in concepts if concept not in places]
        queries = np.zeros((len(concepts), self.d_head), np.float32)
        biases, distance = np.zeros((2, len(concepts)), np.float32)
        known = [k for k, concept in enumerate(concepts) if concept in places]
        rows = [places[concepts[k]] for k in known]
        queries[known], biases[known] = self._arrays["queries"][rows], self._arrays["biases"][rows]
        if others:
            assert self._read is not None
            new = [k for k, concept in enumerate(concepts) if concept not in places]
            standard = (self._read(others) - self._arrays["mean"]) / self._arrays["deviation"]
            queries[new], biases[new] = self._of_vectors(standard)
            distance[new] = self._distance(standard)
        usual, deviation = self._usual(queries, biases)
        learnt = Questions(queries, biases, usual, deviation, distance)
        n_kept = len(self._kept)
        self._known = learnt if self._known is None else _joined(self._known, learnt)
        self._kept |= {concept: n_kept + k for k, concept in enumerate(concepts)}

    def _of_vectors(
        self, standard: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return queries and biases of standardised question vectors (n, d_vector)."""
        a = self._arrays
        hidden = _gelu(standard @ a["query.0.weight"].T + a["query.0.bias"])
        queries = hidden @ a["query.2.weight"].T + a["query.2.bias"]
        hidden = _gelu(standard @ a["bias.0.weight"].T + a["bias.0.bias"])
        biases = (hidden @ a["bias.2.weight"].T + a["bias.2.bias"])[:, 0]
        return queries / math.sqrt(queries.shape[1]), biases

    def _distance(self, standard: NDArray[np.float32]) -> NDArray[np.float32]:
        known = self._arrays["vocabulary"] * VOCABULARY_STEP
        squares = (standard**2).sum(axis=1)[:, None] + (known**2).sum(axis=1)
        nearest = (squares - 2 * standard @ known.T).min(axis=1)
        return np.asarray(np.sqrt(np.maximum(nearest, 0) / standard.shape[1]), np.float32)

    def _usual(
        self, queries: NDArray[np.float32], biases: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and deviation of each question's logits, whatever is learnt beside it."""
        keys, values = self._reference
        found = [
            np.concatenate(
                [
                    logits(keys[k : k + _AT_ONCE], values[k : k + _AT_ONCE], query, bias)[:, 0]
                    for k in range(0, len(keys), _AT_ONCE)
                ]
            )
            for query, bias in zip(queries[:, None], biases[:, None], strict=True)
        ]
        usual, deviation = np.array([[one.mean(), one.std()] for one in found], np.float32).T
        return usual, deviation

    def _check_sizes(self) -> None:
        a, d = self._arrays, self.d_head
        n_vector, n_query, n_bias = len(a["mean"]), len(a["query.0.bias"]), len(a["bias.0.bias"])
        expected = {
            "deviation": (n_vector,),
            "query.0.weight": (n_query, n_vector), "query.2.weight": (d, n_query),
            "query.2.bias": (d,), "bias.0.weight": (n_bias, n_vector),
            "bias.2.weight": (1, n_bias), "bias.2.bias": (1,),
            "queries": (len(self.vocabulary), d), "biases": (len(self.vocabulary),),
            "vocabulary": (len(self.vocabulary), n_vector),
            "reference_keys": (*a["reference_values"].shape[:2], d),
            "key_scales": (*a["reference_keys"].shape[:2], 1),
            "value_scales": (*a["reference_keys"].shape[:2], 1),
        }  # fmt: skip
        wrong = [name for name, shape in expected.items() if a[name].shape != shape]
        if wrong or not len(a["reference_keys"]) or not self.vocabulary:
            raise BundleError(
                f"head file: {', '.join(wrong) or 'nothing in it'}: not the sizes that belong "
                "together; export the bundle again"
            )


def highest_logits(encoded: Sequence[Encoded], questions: Questions) -> NDArray[np.float32]:
    """Return each question's logit in the surer of a window's signals, (n,)."""
    found = []
    for one in encoded:
        assert one.keys is not None and one.values is not None
        found.append(logits(one.keys, one.values, questions.queries, questions.biases))
    return np.asarray(np.max(found, axis=0), np.float32)


def logits(
    keys: NDArray[np.float32],
    values: NDArray[np.float32],
    queries: NDArray[np.float32],
    biases: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the logits (..., n) of windows' keys and values (..., n_query, d_head).

    The attended value's product with the query is the attention's mean of each value's own.
    """
    # A BLAS would wake its threads for this little work: 16 ms instead of 0.05 on a busy core.
    scores = np.einsum("...qd,nd->...qn", keys, queries)
    products = np.einsum("...qd,nd->...qn", values, queries)
    weights = np.exp(scores - scores.max(axis=-2, keepdims=True))
    attended = (weights * products).sum(axis=-2) / weights.sum(axis=-2)
    return np.asarray(attended + biases, np.float32)


def _rows(questions: Questions, rows: Sequence[int]) -> Questions:
    return Questions(*(array[rows] for array in _arrays_of(questions)))


def _joined(first: Questions, second: Questions) -> Questions:
    pairs = zip(_arrays_of(first), _arrays_of(second), strict=True)
    return Questions(*(np.concatenate(pair) for pair in pairs))


def _arrays_of(questions: Questions) -> tuple[NDArray[np.float32], ...]:
    return (
        questions.queries,
        questions.biases,
        questions.usual,
        questions.deviation,
        questions.distance,
    )


def _gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2))), np.float32)


def _read_arrays(contents: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a head file as float32 or int8; nothing of it is trusted."""
    try:
        with zipfile.ZipFile(BytesIO(contents)) as archive:
            n_bytes = sum(entry.file_size for entry in archive.infolist())
        if n_bytes > _MAX_BYTES:
            raise ValueError(f"{n_bytes} bytes in it, expected at most {_MAX_BYTES}")
        with np.load(BytesIO(contents), allow_pickle=False) as loaded:
            arrays = {name: _checked(loaded[name], n) for name, n in _ARRAYS.items()}
    except _UNREADABLE as err:
        raise BundleError(f"head file: cannot be read ({one_line(err)})") from err
    return arrays


def _checked(array: NDArray[Any], n_dimensions: int) -> NDArray[Any]:
    if array.dtype not in (np.int8, np.float16, np.float32) or array.ndim != n_dimensions:
        raise ValueError(f"an array of {array.dtype} and {array.ndim} dimensions")
    if not np.isfinite(array).all():
        raise ValueError("a weight is not finite")
    return array if array.dtype == np.int8 else array.astype(np.float32)
