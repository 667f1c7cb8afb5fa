"""Look for new faults: every target in turn until the time is over, or one short round of each."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.fuzz.rounds import run_round
from tests.fuzz.targets import Target, targets

_ROUND = 5  # times the examples of a short round


@click.command()
@click.argument("names", nargs=-1, metavar="[TARGET]...")
@click.option("--minutes", default=10.0, show_default=True, help="How long, in all.")
@click.option("--short", is_flag=True, help="One round of each instead, the same each time.")
@click.option("--keep", type=click.Path(path_type=Path), default=Path("build/fuzz"),
              show_default=True, help="Folder for the inputs that were found.")  # fmt: skip
def main(names: tuple[str, ...], minutes: float, short: bool, keep: Path) -> None:
    """Fuzz all or the named targets; exit with 1 if something was found."""
    chosen = {name: target for name, target in targets().items() if name in names or not names}
    end = time.monotonic() + 60 * minutes
    n_inputs: Counter[str] = Counter()
    n_found = 0
    while True:
        for name, target in random.sample(list(chosen.items()), len(chosen)):
            seed = 0 if short else random.getrandbits(32)
            n, found = _round(name, target, seed, 1 if short else _ROUND, keep)
            n_inputs[name] += n
            n_found += found
            if not short and time.monotonic() > end:
                break
        if short or time.monotonic() > end:
            break
    for name in chosen:
        click.echo(f"{name}: {n_inputs[name]} inputs")
    click.echo(f"{n_inputs.total()} inputs, {n_found} findings")
    raise SystemExit(1 if n_found else 0)


def _round(name: str, target: Target, seed: int, times: int, keep: Path) -> tuple[int, bool]:
    """Run one round and tell of what it finds; return inputs tried, and whether it found any."""
    with TemporaryDirectory() as work:
        n_inputs, finding = run_round(target, seed, times * target.n_examples, Path(work))
        if finding is None:
            return n_inputs, False
        keep.mkdir(parents=True, exist_ok=True)
        kept = keep / f"{name}-{seed}-{n_inputs}"
        shutil.copy(Path(work) / "input", f"{kept}.pickle")
        kept.with_suffix(".txt").write_text(finding)
    click.echo(f"{name}: seed {seed}, input {n_inputs}, kept as {kept}.pickle\n{finding}", err=True)
    return n_inputs, True


if __name__ == "__main__":
    main()
