"""The English words that a question may hold: listen_edge/question/words.txt.gz.

    python -m listen_edge.train.texts.vocabulary --wordnet /usr/share/wordnet --out words.txt.gz

Takes WordNet's single words, their irregular forms, and every word of the names that training asks
for. Nouns with a capital are left out, people and places: they are where foreign words hide.

Source: WordNet 3.0, file formats in its manual page wndb(5WN); Debian's package wordnet-base.
"""

from __future__ import annotations

import argparse
import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from listen_edge.bundle.opening import open_bundle
from listen_edge.concepts import ESC50
from listen_edge.errors import ListenEdgeError
from listen_edge.train.texts.kinds import KINDS
from listen_edge.train.texts.names import OTHER_NAMES
from listen_edge.train.texts.verbs import SOUNDS_LIKE

_PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
_WORD = re.compile(r"[a-z]{2,}(?:['-][a-z]+)*")


def wordnet_words(folder: Path) -> Iterator[str]:
    """Yield the lemmas, only adjectives ("Italian") all in lower case, and irregular forms.

    Raises:
        ListenEdgeError: no WordNet there.
    """
    try:
        for part in _PARTS_OF_SPEECH:
            for line in (folder / f"data.{part}").read_text("ascii").splitlines():
                if not line.startswith(" "):  # the licence
                    fields = line.split(" | ")[0].split()
                    n_lemmas = int(fields[3], 16)
                    lemmas = (lemma.split("(")[0] for lemma in fields[4 : 4 + 2 * n_lemmas : 2])
                    yield from map(str.lower, lemmas) if part == "adj" else lemmas
            for line in (folder / f"{part}.exc").read_text("ascii").splitlines():
                yield line.split()[0]
    except OSError as err:
        raise ListenEdgeError(
            f"{err.filename}: no WordNet there; run `apt-get install wordnet-base`, or name its "
            "folder with --wordnet"
        ) from err


def trained_names(bundle: str = "tiny") -> Iterator[str]:
    """Yield what training asks for: the lexicon, ESC-50's names and a bundle's concepts."""
    yield from KINDS
    known = {label: more for label, (_, more) in ESC50.items()}
    for table in (known, OTHER_NAMES, SOUNDS_LIKE):
        for label, others in table.items():
            yield from (label, *others)
    yield from open_bundle(bundle).manifest.raw["trained_concepts"]


def vocabulary(lemmas: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return the words, sorted, each once; of names none as short as "to", of which a foreign
    word might seem a form.
    """
    found = {word for name in names for word in _WORD.findall(name.lower())}
    of_names = {word for word in found if len(word) > 2}
    return sorted({lemma for lemma in lemmas if _WORD.fullmatch(lemma)} | of_names)


def write_vocabulary(path: Path, words: Iterable[str]) -> None:
    """Write a word a line, gzipped, the same bytes every time."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write(("\n".join(words) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    words = vocabulary(wordnet_words(options.wordnet), trained_names())
    write_vocabulary(options.out, words)
    click.echo(f"written: {options.out}, {len(words)} words, {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
