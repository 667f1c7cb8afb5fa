"""eval: a bundle on benchmarks. Every one can write its questions for other systems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.eval_card import eval_card
from listen_edge.cli.eval_names import eval_labelled, eval_synonyms, eval_wordings
from listen_edge.cli.eval_options import (
    FILE,
    FOLDER,
    KINDS,
    ask_all,
    bundle_options,
    fold_option,
    missing_option,
    progress,
    seed_option,
    show,
    write_them,
)
from listen_edge.cli.eval_systems import eval_answers, eval_endpoint
from listen_edge.cli.options import load_engine

if TYPE_CHECKING:
    from listen_edge.evaluation.questions import Question


@click.group("eval")
def eval_group() -> None:
    """Measure a bundle's answers, or another system's, on benchmarks."""


@eval_group.command("esc50")
@click.argument("folder", type=FOLDER)
@fold_option
@click.option(
    "--absent",
    "kinds",
    type=KINDS,
    multiple=True,
    default=["random", "popular", "adversarial"],
    help="How absent sounds are drawn; repeatable.",
)
@click.option("--n-absent", type=click.IntRange(1, 49), default=1, help="Absent sounds per clip.")
@seed_option
@bundle_options
def eval_esc50(
    folder: Path,
    folds: tuple[int, ...],
    kinds: tuple[Any, ...],
    n_absent: int,
    seed: int,
    write: Path | None,
    form: str,
    **engine_kwargs: Any,
) -> None:
    """Presence questions about ESC-50's clips, in five wordings. FOLDER holds the data set."""
    from listen_edge.evaluation.esc50 import (
        clips_of_folds,
        esc50_questions,
        evaluate_esc50,
        to_report,
    )

    clips = clips_of_folds(folder, folds)
    if write is not None:
        drawn = [esc50_questions(clips, kind, n_absent=n_absent, seed=seed) for kind in kinds]
        write_them(write, [question for kind in drawn for question in kind], folder)
        return
    reports = []
    with load_engine(**engine_kwargs) as engine, progress(len(clips) * len(kinds)) as advance:
        for kind in kinds:
            found = evaluate_esc50(
                engine, clips, absent=kind, n_absent=n_absent, seed=seed, on_clip=advance
            )
            reports.append(to_report(found))
        bundle_id = engine.bundle.id
    what = f"{len(clips)} clips, 1 present and {n_absent} absent each"
    show(reports, bundle_id, f"ESC-50 fold {', '.join(map(str, folds))}, {what}", form)


@eval_group.command("far-field")
@click.argument("folder", type=FOLDER)
@fold_option
@seed_option
@bundle_options
def eval_far_field(
    folder: Path,
    folds: tuple[int, ...],
    seed: int,
    write: Path | None,
    form: str,
    **engine_kwargs: Any,
) -> None:
    """The questions of esc50 (random) on copies heard 3 m away in a room, at 10 dB SNR."""
    from listen_edge.evaluation.esc50 import clips_of_folds, esc50_questions, far_field_reports

    clips = clips_of_folds(folder, folds)
    if write is not None:
        write_them(write, esc50_questions(clips, "random", seed=seed), folder)
        return
    with load_engine(**engine_kwargs) as engine, progress(2 * len(clips)) as advance:
        reports = far_field_reports(engine, clips, seed=seed, on_clip=advance)
        bundle_id = engine.bundle.id
    show(reports, bundle_id, f"ESC-50 fold {', '.join(map(str, folds))}, {len(clips)} clips", form)


@eval_group.command("hallucination")
@click.argument("folder", type=FOLDER)
@click.option("--audio", type=FOLDER, help="AudioCaps' test clips, named by YouTube id.")
@click.option(
    "--list",
    "names",
    type=KINDS,
    multiple=True,
    default=["random", "popular", "adversarial"],
    help="How absent sounds were drawn; repeatable.",
)
@click.option(
    "--version",
    type=click.Choice(["released", "rebuilt"]),
    default="rebuilt",
    help="The lists as released contradict themselves, see docs/evaluation.md.",
)
@click.option("--rebuild", type=FOLDER, help="Write rebuilt lists there, and ask nothing.")
@missing_option
@bundle_options
def eval_hallucination(
    folder: Path,
    audio: Path | None,
    names: tuple[str, ...],
    version: str,
    rebuild: Path | None,
    allow_missing: bool,
    write: Path | None,
    form: str,
    **engine_kwargs: Any,
) -> None:
    """The Interspeech-2024 audio hallucination benchmark. FOLDER holds its question lists.

    Figures called official follow the benchmark's own scorer: "No" is the positive class.
    """
    from listen_edge.evaluation import hallucination

    if rebuild is not None:
        rebuild_lists(folder, names, rebuild)
        return
    if audio is None:
        raise click.UsageError("hallucination needs --audio, the folder of AudioCaps' test clips")
    asked: dict[str, list[Question]] = {}
    n_left_out = 0
    for name in names:
        rows = hallucination.read_list(hallucination.list_path(folder, name, version))
        asked[name], left_out = hallucination.to_questions(rows, audio, allow_missing=allow_missing)
        n_left_out += left_out
    if write is not None:
        write_them(write, [q for questions in asked.values() for q in questions], audio)
        return
    replies, bundle_id = ask_all([q for qs in asked.values() for q in qs], engine_kwargs)
    reports = []
    for name, questions in asked.items():
        said, replies = replies[: len(questions)], replies[len(questions) :]
        reports.append(hallucination.list_report(name, version, questions, said))
    heading = f"audio hallucination, {version} lists, {n_left_out} questions left out"
    show(reports, bundle_id, heading, form, {"left_out": n_left_out})


@eval_group.command("clotho-aqa")
@click.argument("table", type=FILE)
@click.option("--audio", type=FOLDER, required=True, help="Clotho-AQA's recordings.")
@missing_option
@bundle_options
def eval_clotho_aqa(
    table: Path,
    audio: Path,
    allow_missing: bool,
    write: Path | None,
    form: str,
    **engine_kwargs: Any,
) -> None:
    """Clotho-AQA's yes/no questions. TABLE is clotho_aqa_test.csv.

    A bundle is asked what is a question of presence; the rest is counted as unsupported. --write
    writes them all.
    """
    from listen_edge.evaluation.clotho_aqa import aqa_reports, read_clotho_aqa, to_questions

    asked = read_clotho_aqa(table)
    questions, n_missing = to_questions(
        asked, audio, allow_missing=allow_missing, every=write is not None
    )
    if write is not None:
        write_them(write, questions, audio)
        return
    replies, bundle_id = ask_all(questions, engine_kwargs)
    n_unsupported = sum(question.concept is None for question in asked)
    heading = (
        f"Clotho-AQA, {len(asked)} yes/no questions, {n_unsupported} unsupported (they ask for "
        f"more than presence), {n_missing} without a recording"
    )
    about = {"questions": len(asked), "unsupported": n_unsupported, "left_out": n_missing}
    show(aqa_reports(asked, questions, replies), bundle_id, heading, form, about)


def rebuild_lists(folder: Path, names: tuple[str, ...], out: Path) -> None:
    """Write rebuilt lists, made from released ones."""
    from listen_edge.evaluation import hallucination

    random = hallucination.read_list(hallucination.list_path(folder, "random", "released"))
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        released = hallucination.read_list(hallucination.list_path(folder, name, "released"))
        rows = hallucination.rebuilt(released, random)
        path = out / f"{name}_rebuilt.tsv.gz"
        hallucination.write_list(path, rows)
        click.echo(f"written: {path}, {len(rows)} of {len(released)} questions")


for command in (
    eval_card,
    eval_synonyms,
    eval_labelled,
    eval_wordings,
    eval_answers,
    eval_endpoint,
):
    eval_group.add_command(command)
