"""Commands about bundles: look into them, verify them, carry them elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import click

from listen_edge.cli.options import PATH
from listen_edge.errors import BundleError, ListenEdgeError
from listen_edge.urls import without_secrets

_HUB = "hf:"


@click.group("bundle")
def bundle_group() -> None:
    """Look into bundles, verify them, pack them and get them from elsewhere."""


@bundle_group.command()
@click.argument("bundle", default="tiny")
@click.option("--card", is_flag=True, help="Print its robustness card as Markdown instead.")
def info(bundle: str, card: bool) -> None:
    """Print a bundle's manifest as JSON, with the folder it lies in."""
    from listen_edge.bundle.opening import bundle_folder, read_manifest

    if card:
        click.echo(_card(bundle))
        return
    content = {"folder": str(bundle_folder(bundle)), **read_manifest(bundle).raw}
    click.echo(json.dumps(content, indent=1, ensure_ascii=False))


@bundle_group.command()
@click.argument("bundle", default="tiny")
@click.option("--key", type=PATH, help="Public key (PEM) that must have signed it.")
@click.option("--run", is_flag=True, help="Also answer the bundle's examples on this device.")
@click.option("--threads", type=click.IntRange(1, 256), help="CPU threads.  [default: all cores]")
def verify(bundle: str, key: Path | None, run: bool, threads: int | None) -> None:
    """Verify every file's hash; with --run, that this device gives the recorded answers."""
    from listen_edge.bundle.opening import bundle_folder, open_bundle
    from listen_edge.bundle.signature import verify_signature
    from listen_edge.runtime.engine import Engine
    from listen_edge.runtime.verify import compare_examples

    if key is not None:
        verify_signature(bundle_folder(bundle), key)
    opened = open_bundle(bundle)
    click.echo(f"{opened.id}: {len(opened.manifest.files)} files and the LLM are as recorded")
    if not run:
        return
    with Engine(opened, n_threads=threads) as engine:
        differences, n_answers = compare_examples(engine)
    if differences:
        raise BundleError(f"{opened.id}: this device answers otherwise: {'; '.join(differences)}")
    click.echo(f"{opened.id}: {n_answers} answers about the examples are as recorded")


@bundle_group.command()
@click.argument("bundle", default="tiny")
@click.option("--out", type=PATH, required=True, help="The tar file.")
@click.option("--llm", is_flag=True, help="Put the LLM in, for devices without its package.")
@click.option("--sign", "key", type=PATH, help="Private key (PEM) to sign the manifest with.")
def pack(bundle: str, out: Path, llm: bool, key: Path | None) -> None:
    """Write a bundle as one file: the same bundle, the same bytes. Prints its SHA-256."""
    from listen_edge.bundle.archive import pack_bundle
    from listen_edge.bundle.hashes import sha256_of
    from listen_edge.bundle.opening import open_bundle
    from listen_edge.bundle.signature import sign_bundle

    opened = open_bundle(bundle)
    if key is not None:
        sign_bundle(opened.folder, key)
    pack_bundle(opened, out, with_llm=llm)
    click.echo(f"{sha256_of(out)}  {out}")


@bundle_group.command()
@click.argument("source")
@click.option("--out", type=PATH, help="Folder of the bundle.  [default: in the user's cache]")
@click.option("--sha256", help="Of the packed file, as pack printed it.")
@click.option("--key", type=PATH, help="Public key (PEM) that must have signed it.")
def pull(source: str, out: Path | None, sha256: str | None, key: Path | None) -> None:
    """Get a packed bundle from a URL, or a folder of one from a hub (hf:OWNER/NAME[@REVISION]).

    A download that was stopped goes on where it was. Everything is verified before the folder takes
    its place; --bundle then takes the name that is printed.
    """
    from listen_edge.bundle.opening import read_manifest
    from listen_edge.bundle.pull import pull_hub, pull_url

    if source.startswith(_HUB):
        if sha256 is not None:
            raise ListenEdgeError("--sha256 is of a packed file; a hub's bundle is a folder")
        folder = pull_hub(source.removeprefix(_HUB), out, key=key)
    else:
        is_private = source.lower().startswith("https:") or sha256 is not None or key is not None
        if not is_private:
            raise ListenEdgeError(
                f"{without_secrets(source)}: not https, so anybody on the way could alter it; give "
                "--sha256 or --key"
            )
        folder = pull_url(source, out, sha256=sha256, key=key)
    click.echo(f"{read_manifest(str(folder)).id} in {folder}")


def _card(bundle: str) -> str:
    from listen_edge.bundle.opening import read_manifest
    from listen_edge.evaluation.card.figures import PROTOCOL, card_of
    from listen_edge.evaluation.card.markdown import card_markdown

    manifest = read_manifest(bundle)
    card = card_of(manifest.raw, bundle)
    if card is None:
        return f"{manifest.id}: has no robustness card; {PROTOCOL} --bundle {bundle} measures one"
    return card_markdown(card)
