"""WordNet's nouns from its own dictionary files: senses of a word, their synonyms and hypernyms.

Reads `index.noun` and `data.noun` as Debian's package wordnet-base installs them; a sense is named
as WordNet numbers them: "siren.3" is the third noun sense of "siren".

Source: file formats in WordNet 3.0's manual page wndb(5WN).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from listen_edge.evaluation.questions import BenchmarkError

DEBIAN_FOLDER = Path("/usr/share/wordnet")
_HYPERNYM = ("@", "@i")  # of a class, of an instance


@dataclass(frozen=True)
class Synset:
    """Words that mean the same thing.

    Attributes:
        lemmas: with spaces, the commonest first.
        hypernyms: offsets of the synsets directly above.
    """

    offset: int
    lemmas: tuple[str, ...]
    hypernyms: tuple[int, ...]
    gloss: str


class WordNet:
    """The nouns of WordNet. Reading takes 0.3 s and 20 MB.

    Args:
        folder: where index.noun and data.noun lie.

    Raises:
        BenchmarkError: they do not lie there.
    """

    def __init__(self, folder: Path) -> None:
        try:
            index = (folder / "index.noun").read_text(encoding="ascii")
            self._data = (folder / "data.noun").read_bytes()
        except OSError as err:
            raise BenchmarkError(
                f"{err.filename}: no WordNet there; run `apt-get install wordnet-base`, or name "
                "its folder with --wordnet"
            ) from err
        self._senses: dict[str, tuple[int, ...]] = {}
        for line in index.splitlines():
            if not line.startswith(" "):  # the licence
                lemma, _, n_senses, *rest = line.split()
                self._senses[lemma] = tuple(int(offset) for offset in rest[-int(n_senses) :])

    def sense(self, name: str) -> Synset:
        """Return the synset of a numbered sense such as "alarm clock.1".

        Raises:
            BenchmarkError: this WordNet has no such sense.
        """
        lemma, _, number = name.rpartition(".")
        offsets = self._senses.get(lemma.lower().replace(" ", "_"), ())
        if not 0 < int(number) <= len(offsets):
            raise BenchmarkError(f"WordNet has no noun sense {name!r}; expected WordNet 3.0")
        return self._synset(offsets[int(number) - 1])

    def senses(self, lemma: str) -> list[Synset]:
        """Return all noun senses of a word, the commonest first."""
        offsets = self._senses.get(lemma.lower().replace(" ", "_"), ())
        return [self._synset(offset) for offset in offsets]

    def ancestors(self, synset: Synset) -> list[Synset]:
        """Return all hypernyms, the nearest first."""
        above: dict[int, Synset] = {}
        level = [synset]
        while level:
            level = [self._synset(offset) for low in level for offset in low.hypernyms]
            level = [high for high in level if above.setdefault(high.offset, high) is high]
        return list(above.values())

    def _synset(self, offset: int) -> Synset:
        line = self._data[offset : self._data.index(b"\n", offset)].decode("ascii")
        fields, _, gloss = line.partition(" | ")
        words = fields.split()
        n_lemmas = int(words[3], 16)
        lemmas = tuple(word.replace("_", " ") for word in words[4 : 4 + 2 * n_lemmas : 2])
        pointers = words[5 + 2 * n_lemmas :]
        hypernyms = tuple(
            int(target)
            for symbol, target in zip(pointers[::4], pointers[1::4], strict=False)
            if symbol in _HYPERNYM
        )
        return Synset(offset, lemmas, hypernyms, gloss.strip())
