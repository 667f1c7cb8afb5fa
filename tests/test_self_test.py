"""A device that does not hear says so before it says that nothing was there."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from listen_edge.cli.root import cli
from listen_edge.errors import BackendError, BundleError
from listen_edge.runtime.encoder_session import EncoderSession
from listen_edge.runtime.engine import Engine
from listen_edge.runtime.measure import doctor
from listen_edge.runtime.verify import self_test

LOST = {  # what reaches the encoder of any sound
    "zeros": np.zeros_like,
    "one noise": lambda samples: np.random.default_rng(0).normal(0, 0.1, len(samples)),
}


@pytest.fixture(params=LOST)
def deaf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every encoder loses the sound."""
    lose, encode = LOST[request.param], EncoderSession.encode
    monkeypatch.setattr(
        EncoderSession,
        "encode",
        lambda self, samples: encode(self, np.asarray(lose(samples), np.float32)),
    )


def test_a_sound_engine_hears_its_example(engine: Engine) -> None:
    found = self_test(engine)
    assert found is not None and found.startswith("is a dog barking? 1.00 in clips/dog.ogg, 0.0")
    assert doctor.check_hearing(engine).status == "ok"


@pytest.mark.usefixtures("deaf")
@pytest.mark.parametrize(
    ("backend", "error", "remedy"),
    [
        ("cpu", BundleError, "copy or export the bundle again, or try other versions of"),
        ("cuda", BackendError, "use --backend cpu"),
    ],
)
def test_one_that_loses_the_sound_is_refused(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    error: type[Exception],
    remedy: str,
) -> None:
    monkeypatch.setattr(engine, "backend", backend)
    expected = rf"{backend} does not hear its own example \(.* in a quiet room\); {remedy}"
    with pytest.raises(error, match=expected):
        self_test(engine)


@pytest.mark.parametrize("presence", [None, math.nan])
def test_an_answer_that_is_none_is_no_hearing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, presence: float | None
) -> None:
    ask = engine.ask
    monkeypatch.setattr(
        engine, "ask", lambda *a: [replace(answer, presence=presence) for answer in ask(*a)]
    )
    with pytest.raises(BundleError, match="nan in clips"):
        self_test(engine)


@pytest.mark.usefixtures("deaf")
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_replay_fails_before_its_first_answer(tiny_folder: Path, form: str) -> None:
    clip = str(tiny_folder / "clips/siren.ogg")
    done = CliRunner().invoke(cli, ["replay", clip, "--ask", "siren?", "--format", form])
    assert isinstance(done.exception, BundleError)  # main prints it and exits with 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["error"] * (form == "jsonl")


@pytest.mark.parametrize(
    "expected",
    [None, [], [{"clip": "clips/siren.ogg", "question": "siren?", "presence": 0.4}]],
    ids=["no file", "no example", "none recorded as present"],
)
def test_a_bundle_without_an_example_is_not_tested(
    tmp_path: Path, expected: list[dict[str, object]] | None
) -> None:
    paths = []
    if expected is not None:
        paths = [tmp_path / "expected.json"]
        paths[0].write_text(json.dumps(expected))
    engine = SimpleNamespace(bundle=SimpleNamespace(paths=lambda role: paths))
    assert self_test(engine) is None  # type: ignore[arg-type]
    check = doctor.check_hearing(engine)  # type: ignore[arg-type]
    assert check.status == "warning" and check.remedy is not None
    assert "no example" in check.found
