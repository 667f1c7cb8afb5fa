"""A bundle is exported with its robustness card, and not if that is worse than the one before."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from listen_edge.bundle.opening import open_bundle
from listen_edge.cli.root import cli
from listen_edge.errors import BundleError
from listen_edge.evaluation.card.figures import Card, read_card
from listen_edge.evaluation.card.inputs import CardOptions
from listen_edge.evaluation.questions import BenchmarkError
from listen_edge.export import build, graphs
from listen_edge.export.build import BundleConfig, export_bundle


@pytest.fixture(scope="module")
def config(llama_gguf: Path, esc50_folder: Path) -> BundleConfig:
    return BundleConfig(
        name="test",
        gguf=llama_gguf,
        esc50=esc50_folder,
        held_out=4,
        reported=5,
        presets=("fp32",),
        gguf_quantization="f32",
        quantization="f32",
        examples=(esc50_folder / "audio/4-0.wav",),
        example_questions=("hum?",),
    )


@pytest.fixture(autouse=True)
def _no_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights have no AUROC to lose."""
    monkeypatch.setattr(graphs, "check_parity", lambda rungs: None)


@pytest.fixture(scope="module")
def exported(llm_run: Path, config: BundleConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "first"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "check_parity", lambda rungs: None)
        export_bundle(llm_run, folder, config)
    return folder


def _write_card(path: Path, card: Card, **changes: Any) -> Path:
    path.write_text(json.dumps(replace(card, **changes).to_json()))
    return path


def _better(card: Card, kind: str, value: float) -> Card:
    return replace(
        card,
        figures=tuple(
            replace(f, value=value) if f.kind == kind and f.value is not None else f
            for f in card.figures
        ),
    )


def test_an_exported_bundle_has_a_card_of_its_reported_fold(exported: Path) -> None:
    manifest = open_bundle(str(exported)).manifest
    protocols = [entry["protocol"] for entry in manifest.raw["eval"]]
    assert protocols == ["listen-edge eval esc50"] * 3 + ["listen-edge eval card"]
    card = read_card(exported)
    assert card.precision == "encoder fp32, LLM f32, cpu"
    assert card.recordings == ("ESC-50 fold 5: 3 of 3",)
    sections = {figure.section for figure in card.figures}
    assert {"Impaired", "Wordings", "Calibration", "Parity to float"} <= sections


def test_the_same_run_is_not_worse_than_itself(
    llm_run: Path, config: BundleConfig, exported: Path, tmp_path: Path
) -> None:
    export_bundle(llm_run, tmp_path / "again", replace(config, replaces=exported))
    first, again = read_card(exported), read_card(tmp_path / "again")
    assert again.figures == first.figures


def test_a_worse_bundle_is_not_written_unless_that_is_accepted(
    llm_run: Path,
    config: BundleConfig,
    exported: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    better = _better(read_card(exported), "accuracy", 1.0)
    card = _write_card(tmp_path / "card.json", better)
    wanted = replace(config, replaces=card)
    with pytest.raises(BundleError, match=r"worse than test.*: accuracy 100.0 % -> .*may be worse"):
        export_bundle(llm_run, tmp_path / "worse", wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
    with caplog.at_level(logging.WARNING):
        export_bundle(llm_run, tmp_path / "worse", replace(wanted, accept_worse=True))
    assert "worse, as accepted: " in caplog.text
    assert open_bundle(str(tmp_path / "worse")).manifest.name == "test"


def test_what_cannot_be_compared_fails_before_the_export(
    llm_run: Path,
    config: BundleConfig,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("exported")

    monkeypatch.setattr(graphs, "trace_encoder", fail)
    other = _write_card(tmp_path / "card.json", read_card(exported), questions_sha256="0" * 64)
    for change, message in (
        ({"reported": None}, "give one of them"),
        ({"replaces": other}, "its card is of other recordings"),
        ({"replaces": tmp_path / "missing"}, "no manifest.json there"),
    ):
        with pytest.raises(BundleError, match=message):
            wanted = replace(config, **{"replaces": exported, **change})
            export_bundle(llm_run, tmp_path / "bundle", wanted)
    with pytest.raises(BenchmarkError, match="cannot be read as a table"):
        options = CardOptions(labelled=(tmp_path / "missing",))
        export_bundle(llm_run, tmp_path / "bundle", replace(config, card=options))


def test_the_commands_options_reach_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[BundleConfig] = []
    monkeypatch.setattr(build, "export_bundle", lambda run, out, config: built.append(config))
    command = "export bundle RUN --out OUT --name n --gguf G --esc50 E --held-out 4"
    card = (
        "--card-labelled A --card-labelled B --card-source s --card-background C "
        "--card-ontology o.json --card-stream s.json --replaces OLD --accept-worse"
    )
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, [*command.split(), *card.split()], catch_exceptions=False)
    assert done.exit_code == 0
    assert built[0].card == CardOptions(
        (Path("A"), Path("B")), ("s",), Path("C"), Path("o.json"), Path("s.json")
    )
    assert (built[0].replaces, built[0].accept_worse) == (Path("OLD"), True)
