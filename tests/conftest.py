"""Small real parts for unit tests: random-weight networks, a made-up data set, real recordings."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import soundfile
import torch
from whisper.model import ModelDimensions, Whisper

import listen_edge

listen_edge.__path__.append(str(Path(__file__).parent.parent))

from listen_edge.bundle.opening import bundle_folder  # noqa: E402
from listen_edge.export.build import BundleConfig, export_bundle  # noqa: E402
from listen_edge.prompt import Prompt  # noqa: E402
from listen_edge.runtime.engine import Engine, load  # noqa: E402
from listen_edge.runtime.llama.session import LlamaSession  # noqa: E402
from listen_edge.train.config import TrainConfig  # noqa: E402
from listen_edge.train.head_config import HeadConfig  # noqa: E402
from listen_edge.train.head_loop import train_head  # noqa: E402
from listen_edge.train.loop import train  # noqa: E402
from tests.archives import archive, short_spans  # noqa: E402, F401
from tests.small_ontology import write_ontology  # noqa: E402

CLASSES = ("hum", "beep", "hiss")
# Byte-level BPE writes a space as U+0120 and a newline as U+010A.
_WORDS = ("ĠYes", "ĠNo", "Ġhum", "Ġbeep", "Ġhiss")
_TEST_PROMPT = Prompt(prefix="Sounds: hum. hum? Yes\nSounds:", bridge=" q", question=" {}?")


@pytest.fixture(autouse=True)
def _private_cache(monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    """Keep the tests out of the user's cache; the LLM is requantised once per test run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture()
def n_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was read as bytes, by its name: hashing reads all of it."""
    counted: Counter[str] = Counter()
    opened = Path.open

    def count(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if mode == "rb":
            counted[path.name] += 1
        return opened(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", count)
    return counted


@pytest.fixture(scope="session")
def tiny_folder() -> Path:
    """Folder of the embedded bundle."""
    return bundle_folder("tiny")


@pytest.fixture(scope="session")
def engine(shared_cache: Path) -> Iterator[Engine]:
    """The embedded bundle with its real weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        engine = load("tiny", n_threads=2)
    with engine:
        yield engine


@pytest.fixture(scope="session")
def prompt() -> Prompt:
    """A short prompt whose answers are single tokens of the test vocabulary."""
    return _TEST_PROMPT


@pytest.fixture(scope="session")
def whisper_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight Whisper of two small blocks, as an openai-whisper checkpoint."""
    torch.manual_seed(0)
    dims = ModelDimensions(80, 1500, 32, 2, 2, 64, 16, 32, 2, 1)
    path = tmp_path_factory.mktemp("whisper") / "whisper.pt"
    weights = Whisper(dims).state_dict()
    weights["encoder.conv2.weight"] *= 30  # else the positions drown what is heard
    state = {"dims": asdict(dims), "model_state_dict": weights}
    torch.save(state, path)
    return path


@pytest.fixture(scope="session")
def llama_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight LLaMA of two small layers with a byte-level vocabulary."""
    path = tmp_path_factory.mktemp("llama") / "llama.gguf"
    write_llama_gguf(path, _WORDS)
    return path


@pytest.fixture(scope="session")
def esc50_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of made-up sounds in five folds, in ESC-50's official layout."""
    folder = tmp_path_factory.mktemp("esc50")
    (folder / "audio").mkdir()
    (folder / "meta").mkdir()
    rng = np.random.default_rng(0)
    time = np.arange(16_000) / 16_000
    with (folder / "meta/esc50.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["filename", "fold", "target", "category"])
        for fold in range(1, 6):
            for target, label in enumerate(CLASSES):
                tone = np.sin(2 * np.pi * (300 if target == 0 else 3000) * time)
                samples = rng.normal(0, 0.1, len(time)) + (0.3 * tone if target < 2 else 0)
                name = f"{fold}-{target}.wav"
                soundfile.write(folder / "audio" / name, samples, 16_000)
                table.writerow([name, fold, target, label.replace(" ", "_")])
    return folder


@pytest.fixture(scope="session")
def train_config(whisper_checkpoint: Path, llama_gguf: Path, esc50_folder: Path) -> TrainConfig:
    """A run of a few steps on the made-up data set, fold 4 held out."""
    return TrainConfig(
        whisper=str(whisper_checkpoint),
        llm=str(llama_gguf),
        data=(f"esc50:{esc50_folder}",),
        taps=(1, 2),
        n_query=4,
        d_qformer=32,
        window_s=1.0,
        n_augmented=0,
        n_mixed=10,
        warm_steps=10,
        warm_batch=4,
        steps=12,
        batch=4,
        n_questions=2,
        checkpoint_every=5,
        threads=1,
    )


@pytest.fixture(scope="session")
def head_config(
    tmp_path_factory: pytest.TempPathFactory,
    whisper_checkpoint: Path,
    llama_gguf: Path,
    esc50_folder: Path,
) -> HeadConfig:
    """A head's run of a few steps on the made-up data set, with tags of two classes."""
    folder = tmp_path_factory.mktemp("head")
    lines = ["filename\tclass\tprobability"]
    for fold in range(1, 6):
        lines += [f"{fold}-0.wav\tTrain\t0.9", f"{fold}-1.wav\tPiano\t0.9"]
    (folder / "tags.tsv").write_text("\n".join(lines) + "\n")
    return HeadConfig(
        whisper=str(whisper_checkpoint),
        llm=str(llama_gguf),
        data=(f"esc50:{esc50_folder}",),
        ontology=str(write_ontology(folder / "ontology.json")),
        tags=(str(folder / "tags.tsv"),),
        taps=(1, 2),
        n_query=4,
        d_qformer=32,
        d_head=16,
        n_mixtures=8,
        descriptions=True,
        spliced=0.5,
        window_s=1.0,
        steps=12,
        batch=4,
        warm_up=2,
        checkpoint_every=5,
        evaluate_every=10,
        threads=1,
    )


@pytest.fixture(scope="session")
def head_run(
    head_config: HeadConfig, prompt: Prompt, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A head trained for some steps."""
    folder = tmp_path_factory.mktemp("head") / "run"
    train_head(replace(head_config, steps=60, lr=3e-3, evaluate_every=60), folder, prompt)
    return folder


@pytest.fixture(scope="session")
def headed_config(
    head_run: Path,
    llama_gguf: Path,
    esc50_folder: Path,
) -> BundleConfig:
    """Of a bundle with a head."""
    return BundleConfig(
        name="test",
        gguf=llama_gguf,
        esc50=esc50_folder,
        held_out=4,
        presets=("fp32",),
        gguf_quantization="f32",
        quantization="f32",
        head=head_run,
        examples=(esc50_folder / "audio/4-0.wav", esc50_folder / "audio/4-2.wav"),
        example_questions=("hum?", "hiss?"),
        events={"on": 0.8, "off": 0.6, "confirm": [2, 3]},
    )


@pytest.fixture(scope="session")
def llm_run(
    train_config: TrainConfig, prompt: Prompt, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An adapter trained for some steps."""
    folder = tmp_path_factory.mktemp("llm") / "run"
    train(replace(train_config, n_mixed=0, warm_steps=20, steps=2), folder, prompt)
    return folder


@pytest.fixture(scope="session")
def headed_folder(
    llm_run: Path, headed_config: BundleConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle with a head, random but for it."""
    folder = tmp_path_factory.mktemp("bundles") / "test"
    export_bundle(llm_run, folder, headed_config)
    return folder


@pytest.fixture()
def n_loaded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often an LLM was loaded, and asked about a window."""
    counted: Counter[str] = Counter()
    opened, margins = LlamaSession.__init__, LlamaSession.margins

    def load(session: LlamaSession, *arguments: Any, **options: Any) -> None:
        counted["loaded"] += 1
        opened(session, *arguments, **options)

    def ask(session: LlamaSession, *arguments: Any) -> Any:
        counted["asked"] += 1
        return margins(session, *arguments)

    monkeypatch.setattr(LlamaSession, "__init__", load)
    monkeypatch.setattr(LlamaSession, "margins", ask)
    return counted


def write_llama_gguf(path: Path, words: tuple[str, ...], n_embd: int = 32) -> None:
    """Write a random LLaMA whose vocabulary is all bytes plus `words`, each one token."""
    tokens, merges = _vocabulary(words)
    n_layers, n_heads, n_ff = 2, 2, 64
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(n_ff)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_heads)
    writer.add_rope_dimension_count(n_embd // n_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - 1)
    writer.add_token_types([*kinds, gguf.TokenType.CONTROL])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_bos_token_id(len(tokens) - 1)
    _add_random_weights(writer, n_layers, len(tokens), n_embd, n_ff)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _vocabulary(words: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return tokens and merges: every word is merged from its left, one character at a time."""
    tokens = list(_byte_characters())
    merges: list[str] = []
    for word in words:
        for end in range(2, len(word) + 1):
            merge = f"{word[: end - 1]} {word[end - 1]}"
            if merge not in merges:
                merges.append(merge)
                tokens.append(word[:end])
    return [*dict.fromkeys(tokens), "<end>"], merges


def _add_random_weights(
    writer: gguf.GGUFWriter, n_layers: int, n_vocab: int, n_embd: int, n_ff: int
) -> None:
    rng = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        scale = 1.0 if name.endswith("norm.weight") else 0.0
        weights = scale + rng.normal(0, 0.02 if scale else 0.3, shape)
        writer.add_tensor(name, weights.astype(np.float32))

    add("token_embd.weight", n_vocab, n_embd)
    add("output.weight", n_vocab, n_embd)
    add("output_norm.weight", n_embd)
    for k in range(n_layers):
        add(f"blk.{k}.attn_norm.weight", n_embd)
        add(f"blk.{k}.ffn_norm.weight", n_embd)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{k}.{name}.weight", n_embd, n_embd)
        add(f"blk.{k}.ffn_gate.weight", n_ff, n_embd)
        add(f"blk.{k}.ffn_up.weight", n_ff, n_embd)
        add(f"blk.{k}.ffn_down.weight", n_embd, n_ff)


def _byte_characters() -> list[str]:
    """Return GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]
