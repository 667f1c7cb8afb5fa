"""The LLM of a bundle, loaded when it is first asked, and freed when it is not needed any more."""

from __future__ import annotations

from listen_edge.bundle.opening import Bundle
from listen_edge.runtime.llama.prefix import prefix_state
from listen_edge.runtime.llama.requantize import answering_gguf
from listen_edge.runtime.llama.session import LlamaSession


class Llm:
    """Gives one session, which stays until it is freed.

    Args:
        bundle: whose LLM and prompt.
        n_threads: of the session.
        gpu_layers: see LlamaSession.
    """

    def __init__(self, bundle: Bundle, *, n_threads: int, gpu_layers: int) -> None:
        self._bundle, self._n_threads, self._gpu_layers = bundle, n_threads, gpu_layers
        self._loaded: LlamaSession | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether it takes memory."""
        return self._loaded is not None

    def session(self) -> LlamaSession:
        """Return the session, loaded if it is not.

        Raises:
            BundleError: not the LLM that the bundle was made for, see LlamaSession.
        """
        if self._loaded is None:
            manifest, path = self._bundle.manifest, self._bundle.gguf_path
            on_gpu = self._gpu_layers != 0
            self._loaded = LlamaSession(
                path,
                manifest.prompt,
                n_threads=self._n_threads,
                gpu_layers=self._gpu_layers,
                vocab_sha256=manifest.vocab_sha256,
                n_embd=manifest.n_embd,
                answering=answering_gguf(path, manifest.gguf, manifest.prompt, self._n_threads),
                prefix_state=prefix_state(manifest.gguf, manifest.prompt, on_gpu=on_gpu),
            )
        return self._loaded

    def free(self) -> None:
        """Give its memory back; the next use loads it again."""
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None
