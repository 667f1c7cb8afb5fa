"""Question vectors of a vocabulary, read by the LLM once and kept on disk.

llama.cpp is the one implementation for training and device (runtime/llama/question_encoder.py);
torch gives the same within the tolerance that tests/test_question_vectors.py states.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from listen_edge.bundle.hashes import sha256_of
from listen_edge.errors import ListenEdgeError
from listen_edge.prompt import Prompt
from listen_edge.replacing import replacing
from listen_edge.runtime.llama.question_encoder import QuestionEncoder
from listen_edge.runtime.llama.session import LlamaSession


class QuestionVectors:
    """Vectors by phrase; a phrase is read by the LLM when it is first asked for.

    Args:
        folder: of the files, one for each LLM, prompt and number of slots.
        gguf_path: the LLM that ships.
        prompt: the bundle's.
        n_query: slots that audio takes.
        n_threads: of the LLM.
    """

    def __init__(
        self, folder: Path, gguf_path: Path, prompt: Prompt, n_query: int, n_threads: int
    ) -> None:
        described = json.dumps([sha256_of(gguf_path), prompt.to_json(), n_query])
        key = hashlib.sha256(described.encode()).hexdigest()[:32]
        self._path = folder / f"questions-{key}.safetensors"
        self._gguf_path, self._prompt = gguf_path, prompt
        self._n_query, self._n_threads = n_query, n_threads
        self._vectors = self._read()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return (len(texts), d_vector) float32, not standardised.

        Raises:
            BundleError: the LLM cannot be loaded.
            ListenEdgeError: the folder cannot be written.
        """
        missing = sorted({*texts} - self._vectors.keys())
        if missing:
            with closing(
                LlamaSession(self._gguf_path, self._prompt, n_threads=self._n_threads)
            ) as session:
                encode = QuestionEncoder(session, self._prompt, self._n_query)
                found = torch.from_numpy(encode(missing))
            self._vectors |= dict(zip(missing, found, strict=True))
            self._write()
        return torch.stack([self._vectors[text] for text in texts])

    def _read(self) -> dict[str, Tensor]:
        try:
            with safe_open(self._path, framework="pt") as file:
                texts = json.loads((file.metadata() or {})["texts"])
                return dict(zip(texts, file.get_tensor("vectors"), strict=True))
        except (OSError, SafetensorError, KeyError, ValueError):
            return {}  # missing or damaged: read the questions again

    def _write(self) -> None:
        tensors = {"vectors": torch.stack([*self._vectors.values()])}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path) as temporary:
                save_file(tensors, temporary, {"texts": json.dumps([*self._vectors])})
        except (OSError, SafetensorError) as err:
            raise ListenEdgeError(f"{self._path}: cannot be written ({err})") from err
