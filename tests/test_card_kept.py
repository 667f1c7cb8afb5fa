"""A card as data: its JSON, its page, its place in a bundle, and what it must not be worse than."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from listen_edge.bundle.hashes import sha256_of
from listen_edge.bundle.manifest import MANIFEST, SUMS
from listen_edge.bundle.opening import open_bundle
from listen_edge.bundle.writing import write_manifest
from listen_edge.cli.root import cli
from listen_edge.errors import BundleError
from listen_edge.evaluation.card.comparing import TOLERANCES, fallen_figures, refuse_worse
from listen_edge.evaluation.card.figures import (
    KINDS,
    PROTOCOL,
    Card,
    Figure,
    parse_card,
    read_card,
)
from listen_edge.evaluation.card.inputs import CardOptions, read_inputs
from listen_edge.evaluation.card.markdown import card_markdown, value_text
from listen_edge.evaluation.card.measure import measure_card
from tests.tones import ToneEngine, tone_folders


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    esc50, others = tone_folders(tmp_path_factory.mktemp("card"))
    engine: Any = ToneEngine()
    return measure_card(engine, read_inputs(esc50, [5], CardOptions(labelled=(others,))))


def test_a_card_survives_its_json(card: Card) -> None:
    content = json.loads(json.dumps(card.to_json()))
    assert content["protocol"] == PROTOCOL
    assert parse_card(content, "card.json") == card


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("figures"),
        lambda content: content.update(figures=[{}]),
        lambda content: content.update(figures=None),
        lambda content: content.update(surprise=1),
        lambda content: content.update(seed="0"),
        lambda content: content["figures"][0].update(value="high"),
        lambda content: content["figures"][0].update(kind="merit"),
        lambda content: content["figures"][0].update(kind=["ece"]),
    ],
)
def test_a_malformed_card_is_one_line(
    card: Card, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    content = json.loads(json.dumps(card.to_json()))
    change(content)
    (tmp_path / "card.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match=r"card\.json: .*measure it again with listen-edge eval"):
        read_card(tmp_path / "card.json")


def test_a_foreign_card_breaks_no_line_and_no_table(card: Card) -> None:
    figure = replace(card.figures[0], row="a|b\x1b[31m\nc", section=card.figures[-1].section)
    shown = card_markdown(replace(card, name="a\nb", figures=(*card.figures, figure)))
    n_lines = len(card_markdown(card).splitlines())
    assert len(shown.splitlines()) == n_lines + 1 and "\x1b" not in shown
    assert r"| a/b\x1b[31m\nc |" in shown


def test_what_is_no_card_says_how_to_measure_one(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("{")
    for path in (tmp_path / "card.json", tmp_path / "missing.json"):
        with pytest.raises(BundleError, match="expected what listen-edge eval card --out wrote"):
            read_card(path)
    shutil.copytree(tiny_folder, tmp_path / "without")
    raw = json.loads((tmp_path / "without" / MANIFEST).read_text())
    raw["eval"] = [entry for entry in raw["eval"] if entry["protocol"] != PROTOCOL]
    write_manifest(tmp_path / "without", raw)
    with pytest.raises(BundleError, match="has no robustness card; measure one with"):
        read_card(tmp_path / "without")
    shown = CliRunner().invoke(cli, ["bundle", "info", str(tmp_path / "without"), "--card"])
    assert shown.exit_code == 0 and len(shown.output.splitlines()) == 1
    assert "has no robustness card; listen-edge eval card --bundle" in shown.output


def test_a_card_in_a_bundle_is_shown_and_leaves_its_hashes_right(
    card: Card, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "carded"
    shutil.copytree(tiny_folder, folder)
    raw = json.loads((folder / MANIFEST).read_text())
    raw["eval"] = [raw["eval"][0], card.to_json()]
    write_manifest(folder, raw)
    open_bundle(str(folder))
    assert f"{sha256_of(folder / MANIFEST)}  {MANIFEST}" in (folder / SUMS).read_text()
    shown = CliRunner().invoke(cli, ["bundle", "info", str(folder), "--card"])
    assert shown.exit_code == 0 and shown.output == card_markdown(card) + "\n"
    assert len(shown.output.splitlines()) <= 80  # a page
    assert read_card(folder) == card


@pytest.mark.parametrize("kind", TOLERANCES)
def test_a_figure_may_be_worse_by_its_tolerance_and_no_more(card: Card, kind: str) -> None:
    tolerance = TOLERANCES[kind]
    sign = -1 if tolerance.is_better == "higher" else 1

    def with_value(value: float | None) -> Card:
        return replace(card, figures=(Figure("Section", "row", kind, value, 10, 20),))

    old = with_value(0.5)
    refuse_worse(with_value(0.5 + sign * tolerance.by), old)
    refuse_worse(with_value(0.5 - sign * 0.3), old)  # better
    refuse_worse(with_value(0.1), with_value(None))  # there was nothing to lose
    with pytest.raises(BundleError, match=r"Section, row: .* -> .*--accept-worse"):
        refuse_worse(with_value(0.5 + sign * (tolerance.by + 0.01)), old)
    with pytest.raises(BundleError, match="-> not measured"):
        refuse_worse(replace(card, figures=()), old)


def test_the_documents_have_the_tolerances() -> None:
    text = (Path(__file__).parent.parent / "docs/bundles.md").read_text()
    for kind, tolerance in TOLERANCES.items():
        points = " points" if KINDS[kind].unit == "points" else ""
        by = value_text(kind, tolerance.by) + points
        assert f"| {KINDS[kind].title} | {by} | {tolerance.because} |" in text


def test_every_figure_that_fell_is_named(card: Card) -> None:
    worse = replace(
        card,
        figures=tuple(
            replace(figure, value=0.6) if figure.kind == "auroc" else figure
            for figure in card.figures
        ),
    )
    fallen = fallen_figures(worse, card)
    aurocs = [
        f
        for f in card.figures
        if f.kind == "auroc" and (f.value or 0) > 0.62 and f.row != "A few"  # too few to compare
    ]
    assert len(fallen) == len(aurocs) > 3
    for line, figure in zip(fallen, aurocs, strict=True):
        assert line.startswith(f"{figure.section}, {figure.row}: auroc {figure.value:.3f} -> 0.600")
    assert fallen_figures(card, card) == []


def test_cards_of_other_recordings_are_not_compared(card: Card) -> None:
    with pytest.raises(BundleError, match="its card is of other recordings"):
        refuse_worse(card, replace(card, questions_sha256="0" * 64))
