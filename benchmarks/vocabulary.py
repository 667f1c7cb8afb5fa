"""How many names of sounds are taken for unfamiliar: what `unknown (unfamiliar)` costs in English.

    python benchmarks/vocabulary.py --names classes.txt --names meta.csv:category

A file holds a name a line; of a table, FILE:COLUMN is read; of AudioSet's ontology.json, the names.
Names that cannot be asked ("dishes, pots, and pans") are read word by word.
Prints the share, the names, and what reading the word list and looking a concept up take.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
from pathlib import Path

from listen_edge.errors import QuestionError
from listen_edge.question import parse_concept
from listen_edge.question.vocabulary import is_familiar


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--names", action="append", required=True, metavar="FILE[:COLUMN]")
    options = parser.parse_args()
    started = time.perf_counter()
    is_familiar("siren")
    read = time.perf_counter()
    is_familiar("smoke detector chirping")
    print(
        f"first look-up {1000 * (read - started):.1f} ms, with the reading of the list; "
        f"another {1000 * (time.perf_counter() - read):.2f} ms"
    )
    for source in options.names:
        names = sorted(set(_names(source)))
        flagged = [name for name in names if not is_familiar(_concept(name))]
        share = 100 * len(flagged) / len(names)
        print(f"{source}: {len(flagged)} of {len(names)} ({share:.1f} %): {', '.join(flagged)}")


def _names(source: str) -> list[str]:
    file, _, column = source.partition(":")
    text = Path(file).read_text(encoding="utf-8")
    if column:
        return [row[column].replace("_", " ") for row in csv.DictReader(text.splitlines())]
    if file.endswith(".json"):
        return [node["name"] for node in json.loads(text)]
    return [line.strip() for line in text.splitlines() if line.strip()]


def _concept(name: str) -> str:
    try:
        return parse_concept(name)
    except QuestionError:
        return " ".join(re.findall(r"[a-z0-9'-]+", name.lower()))


if __name__ == "__main__":
    main()
