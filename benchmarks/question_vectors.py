"""Question vectors by llama.cpp against transformers on the same weights.

    python benchmarks/question_vectors.py LLM.gguf --phrases 500

Prints the smallest cosine, the largest difference in units of a coordinate's deviation over the
phrases, and the time of one phrase. Phrases are made of the alarms' and ESC-50's names.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from listen_edge.alarms import ALARMS
from listen_edge.concepts import ESC50, names_of
from listen_edge.prompt import DEFAULT_PROMPT
from listen_edge.runtime.llama.question_encoder import NEUTRAL, QuestionEncoder
from listen_edge.runtime.llama.session import LlamaSession
from listen_edge.train.backbones import load_llama

N_QUERY = 12
PLACES = ("", " far away", " in a kitchen", " behind a door", " on a street")


def phrases() -> Iterator[str]:
    """Yield names of sounds, then the same at places."""
    names = [name for label in ESC50 for name in names_of(label)]
    names += [name for alarm in ALARMS.values() for name in alarm.labels]
    for place, name in itertools.product(PLACES, dict.fromkeys(names)):
        yield name + place


def torch_vectors(gguf: Path, session: LlamaSession, texts: list[str]) -> NDArray[np.float32]:
    """Return what transformers gives for each phrase, (n, 2 * n_embd)."""
    model = load_llama(str(gguf)).model
    prompt = DEFAULT_PROMPT
    description = (session.tokenize(NEUTRAL) * N_QUERY)[:N_QUERY]
    before = [*session.tokenize(prompt.prefix), *description, *session.tokenize(prompt.bridge)]
    vectors = []
    with torch.inference_mode():
        kept = model(input_ids=torch.tensor([before]), use_cache=True).past_key_values
    for text in texts:
        question = torch.tensor([session.tokenize(prompt.ask(text))])
        with torch.inference_mode():
            cache = copy.deepcopy(kept)
            states = model(input_ids=question, past_key_values=cache).last_hidden_state[0]
        vectors.append(torch.cat([states[-1], states[:-1].mean(dim=0)]).numpy())
    return np.stack(vectors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("llm", type=Path)
    parser.add_argument("--phrases", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    texts = list(itertools.islice(phrases(), options.phrases))
    with closing(LlamaSession(options.llm, DEFAULT_PROMPT, n_threads=options.threads)) as session:
        started = time.perf_counter()
        found = QuestionEncoder(session, DEFAULT_PROMPT, N_QUERY)(texts)
        seconds = time.perf_counter() - started
        expected = torch_vectors(options.llm, session, texts)
    cosines = (found * expected).sum(axis=1)
    cosines /= np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    apart = np.abs(found - expected) / expected.std(axis=0)
    print(f"phrases                {len(texts)}")
    print(f"smallest cosine        {cosines.min():.7f}")
    print(f"largest difference     {apart.max():.4f} deviations")
    print(f"median difference      {np.median(apart):.5f} deviations")
    print(f"time of a phrase       {1000 * seconds / len(texts):.1f} ms")


if __name__ == "__main__":
    main()
