"""Question vectors: llama.cpp against torch, and the files they are kept in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from listen_edge.errors import BundleError
from listen_edge.prompt import Prompt
from listen_edge.runtime.llama.question_encoder import QuestionEncoder
from listen_edge.runtime.llama.session import MAX_STATES, LlamaSession
from listen_edge.train.backbones import load_llama
from listen_edge.train.question_vectors import QuestionVectors

N_QUERY = 5
CONCEPTS = ["hum", "beep and hiss", "a hum behind a hiss", "x"]


@pytest.fixture
def session(llama_gguf: Path, prompt: Prompt) -> Iterator[LlamaSession]:
    with closing(LlamaSession(llama_gguf, prompt, n_threads=1)) as session:
        yield session


def test_llama_cpp_reads_questions_as_torch_does(
    llama_gguf: Path, prompt: Prompt, session: LlamaSession
) -> None:
    encode = QuestionEncoder(session, prompt, N_QUERY)
    model = load_llama(str(llama_gguf)).model
    description = (session.tokenize(" noise,") * N_QUERY)[:N_QUERY]
    for concept, vector in zip(CONCEPTS, encode(CONCEPTS), strict=True):
        question = session.tokenize(prompt.ask(concept))
        tokens = [*session.tokenize(prompt.prefix), *description]
        tokens += [*session.tokenize(prompt.bridge), *question]
        with torch.inference_mode():
            states = model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        states = states[-len(question) :].numpy()
        expected = np.concatenate([states[-1], states[:-1].mean(axis=0)])
        # llama.cpp rounds keys and values to float16
        np.testing.assert_allclose(vector, expected, atol=5e-3)


def test_reading_a_question_leaves_the_margins_as_they_were(
    session: LlamaSession, prompt: Prompt
) -> None:
    audio = np.random.default_rng(0).normal(0, 0.5, (4, 32)).astype(np.float32)
    before = session.margins(audio, CONCEPTS)
    QuestionEncoder(session, prompt, N_QUERY)(CONCEPTS)
    np.testing.assert_array_equal(session.margins(audio, CONCEPTS), before)


def test_many_questions_are_read_as_alone(session: LlamaSession, prompt: Prompt) -> None:
    encode = QuestionEncoder(session, prompt, N_QUERY)
    many = [f"{name} {k}" for k in range(20) for name in CONCEPTS]
    np.testing.assert_allclose(encode(many)[-4:], encode(many[-4:]), atol=5e-3)
    assert encode([]).shape == (0, 2 * session.n_embd)


def test_a_question_of_too_many_tokens_is_refused(session: LlamaSession, prompt: Prompt) -> None:
    with pytest.raises(BundleError, match=f"expected at most {MAX_STATES}; name one sound"):
        QuestionEncoder(session, prompt, N_QUERY)(["hum " * 100])


@pytest.mark.parametrize("damage", ["none", "cut", "gone"])
def test_vectors_are_read_again_only_where_they_are_not_on_disk(
    tmp_path: Path, llama_gguf: Path, prompt: Prompt, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    first = QuestionVectors(tmp_path, llama_gguf, prompt, N_QUERY, 1)(CONCEPTS)
    (kept,) = tmp_path.iterdir()
    if damage == "cut":
        kept.write_bytes(kept.read_bytes()[:100])
    elif damage == "gone":
        kept.unlink()
    read: list[str] = []
    encode = QuestionEncoder.__call__
    monkeypatch.setattr(
        QuestionEncoder,
        "__call__",
        lambda self, texts: (read.extend(texts), encode(self, texts))[1],
    )
    vectors = QuestionVectors(tmp_path, llama_gguf, prompt, N_QUERY, 1)
    torch.testing.assert_close(vectors([*CONCEPTS, "new"])[:-1], first, atol=1e-3, rtol=0)
    assert read == (["new"] if damage == "none" else sorted([*CONCEPTS, "new"]))
