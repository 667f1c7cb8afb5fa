"""eval synonyms, labelled and wordings: sounds by other names, and in other words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listen_edge.cli.eval_options import (
    FILE,
    FOLDER,
    ask_all,
    bundle_options,
    fold_option,
    format_option,
    progress,
    seed_option,
    show,
    write_them,
)
from listen_edge.cli.options import engine_options, load_engine

if TYPE_CHECKING:
    from listen_edge.evaluation.questions import Question


@click.command("synonyms")
@click.argument("folder", type=FOLDER)
@click.option("--ontology", type=FILE, help="AudioSet's ontology.json.")
@click.option("--wordnet", type=FOLDER, help="WordNet's dictionary files.  [default: Debian's]")
@click.option("--questions", "given", type=FILE, help="Ask these, written before with --write.")
@fold_option
@seed_option
@bundle_options
def eval_synonyms(
    folder: Path,
    ontology: Path | None,
    wordnet: Path | None,
    given: Path | None,
    folds: tuple[int, ...],
    seed: int,
    write: Path | None,
    form: str,
    **engine_kwargs: Any,
) -> None:
    """ESC-50's clips asked for by synonyms and hypernyms of their labels."""
    from listen_edge.bundle.opening import read_manifest
    from listen_edge.evaluation.questions import read_questions
    from listen_edge.evaluation.synonyms import synonym_reports

    if given is not None:
        questions = read_questions(given, folder)
    elif ontology is not None:
        questions = _built_questions(folder, ontology, wordnet, folds, seed)
    else:
        raise click.UsageError("synonyms needs --ontology, or --questions that were written before")
    if write is not None:
        write_them(write, questions, folder)
        return
    replies, bundle_id = ask_all(questions, engine_kwargs)
    trained = read_manifest(engine_kwargs["bundle"]).raw.get("trained_concepts")
    reports = synonym_reports(questions, replies, trained)
    show(reports, bundle_id, "Synonym and Hypernym Test on ESC-50", form)


def _built_questions(
    folder: Path, ontology: Path, wordnet: Path | None, folds: tuple[int, ...], seed: int
) -> list[Question]:
    from listen_edge.evaluation.esc50 import clips_of_folds
    from listen_edge.evaluation.synonyms import build_questions, names_of_labels
    from listen_edge.evaluation.wordnet import DEBIAN_FOLDER, WordNet
    from listen_edge.ontology import Ontology

    clips = clips_of_folds(folder, folds)
    tree = Ontology.read(ontology)
    labels = [clip.label for clip in clips]
    names = names_of_labels(labels, tree, WordNet(wordnet or DEBIAN_FOLDER))
    return build_questions(clips, names, tree, seed)


@click.command("labelled")
@click.argument("folder", type=FOLDER)
@click.option("--source", "sources", multiple=True, help="Keep this source; repeatable.")
@click.option("--n-absent", type=click.IntRange(1, 50), default=1, help="Absent sounds per clip.")
@click.option(
    "--trained", type=FILE, help="Labels trained on, one a line.  [default: the bundle's]"
)
@seed_option
@bundle_options
def eval_labelled(
    folder: Path,
    sources: tuple[str, ...],
    n_absent: int,
    trained: Path | None,
    seed: int,
    write: Path | None,
    form: str,
    **engine_kwargs: Any,
) -> None:
    """Labelled recordings: FOLDER holds meta.csv (filename, label, source) and audio/."""
    from listen_edge.bundle.opening import read_manifest
    from listen_edge.evaluation import labelled

    manifest = read_manifest(engine_kwargs["bundle"]).raw
    clips = labelled.read_labelled(folder, sources)
    questions = labelled.labelled_questions(
        clips, labelled.trained_labels(manifest, trained), n_absent=n_absent, seed=seed
    )
    if write is not None:
        write_them(write, questions, folder)
        return
    replies, bundle_id = ask_all(questions, engine_kwargs)
    n_sources, n_labels = len({clip.source for clip in clips}), len({clip.label for clip in clips})
    heading = f"{folder.name}, {len(clips)} clips of {n_labels} labels, {n_sources} sources"
    show(labelled.labelled_reports(questions, replies), bundle_id, heading, form)


@click.command("wordings")
@format_option
@engine_options
def eval_wordings(form: str, **engine_kwargs: Any) -> None:
    """The bundle's own examples, asked about in 69 wordings: does any move an answer?"""
    from listen_edge.evaluation.wordings import wording_report

    with load_engine(**engine_kwargs) as engine:
        recordings = engine.bundle.paths("clip")
        with progress(len(recordings)) as advance:
            report = wording_report(engine, recordings, on_clip=advance)
        bundle_id = engine.bundle.id
    click.echo(report.to_json(bundle_id) if form == "json" else report.to_text(bundle_id))
