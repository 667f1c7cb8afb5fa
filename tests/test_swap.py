"""Another adapter in a running engine: verified beside the old one, or the old one goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from listen_edge.audio import read_audio
from listen_edge.bundle.manifest import MANIFEST
from listen_edge.bundle.opening import open_bundle
from listen_edge.bundle.writing import describe_file, write_manifest
from listen_edge.errors import BundleError
from listen_edge.lines.health import Health
from listen_edge.runtime.engine import Engine, load
from listen_edge.runtime.listening.listener import Listener
from listen_edge.runtime.verify import compare_examples
from tests.streams import ScriptedSource


@pytest.fixture(scope="module")
def swapping() -> Iterator[Engine]:
    with load("tiny", n_threads=1) as engine:
        yield engine


def _copy(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write a copy of the embedded bundle with a changed manifest and right hashes."""
    shutil.copytree(open_bundle("tiny").folder, folder)
    raw = json.loads((folder / MANIFEST).read_text())
    raw["files"] = [
        {**file, **describe_file(folder, file["path"], file["role"])} for file in raw["files"]
    ]
    change(raw)
    write_manifest(folder, raw)
    return folder


def test_an_adapter_is_swapped_and_answers_as_its_own_engine(
    swapping: Engine, tmp_path: Path
) -> None:
    samples = read_audio(swapping.bundle.folder / "clips/dog.ogg")

    def move(raw: dict[str, Any]) -> None:
        for weights in (raw["head"]["fusion"]["alone"], raw["head"]["fusion"]["both"]):
            weights[-1] -= 0.1

    other = open_bundle(str(_copy(tmp_path / "other", move)))
    # As a swap does: priors are measured in the same batch, which rounds alike.
    assert compare_examples(swapping)[0] == []
    before = swapping.ask(samples, ["dog barking?"])[0]
    swapping.swap_adapter(other)
    after = swapping.ask(samples, ["dog barking?"])[0]
    with Engine(other, n_threads=1) as own:
        assert compare_examples(own)[0] == []
        assert own.ask(samples, ["dog barking?"])[0].presence == after.presence
    assert after.bundle == other.id and after.presence != before.presence
    swapping.swap_adapter(open_bundle("tiny"))
    assert swapping.ask(samples, ["dog barking?"])[0].presence == before.presence


def test_an_adapter_that_answers_otherwise_is_not_taken(swapping: Engine, tmp_path: Path) -> None:
    def turn_around(raw: dict[str, Any]) -> None:
        fusion = raw["head"]["fusion"]
        fusion["alone"] = [-weight for weight in fusion["alone"]]

    before, id_before = swapping.prior_margins(["dog"]), swapping.bundle.id
    with pytest.raises(BundleError, match="does not answer as recorded"):
        swapping.swap_adapter(open_bundle(str(_copy(tmp_path / "a", turn_around))))
    assert swapping.bundle.id == id_before
    np.testing.assert_array_equal(swapping.prior_margins(["dog"]), before)


def test_another_prompt_or_window_needs_another_engine(swapping: Engine, tmp_path: Path) -> None:
    def widen(raw: dict[str, Any]) -> None:
        raw["prompt"]["prefix"] += " x"
        raw["audio"]["window_s"] = 6.0

    with pytest.raises(
        BundleError, match=r"differs from .* in prompt, window_s, not in its adapter"
    ):
        swapping.swap_adapter(open_bundle(str(_copy(tmp_path / "a", widen))))


def test_a_listener_swaps_between_windows_and_says_so(swapping: Engine, tmp_path: Path) -> None:
    samples = read_audio(swapping.bundle.folder / "clips/dog.ogg")
    source = ScriptedSource([samples[:, None]] * 2, is_live=False)
    other = _copy(tmp_path / "other", lambda raw: raw.update(name="other"))
    listener = Listener(swapping, source, ["dog barking?"])
    listener.swap_adapter(str(other))
    said, bundles = [], []
    for line in listener:
        if isinstance(line, Health):
            said.append(line.message)
        else:
            bundles.append(line.bundle)
        if len(bundles) == 2:
            listener.swap_adapter(str(tmp_path / "none"))
    assert said[0] == f"answers with {open_bundle(str(other)).id} from now on"
    assert f"{open_bundle(str(other)).id} goes on: " in str(said[1]) and "no manifest" in str(
        said[1]
    )
    assert set(bundles) == {open_bundle(str(other)).id}
